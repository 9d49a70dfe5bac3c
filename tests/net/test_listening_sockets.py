"""Places to listen: what is left when one of them cannot be had."""

import sys

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.daemon.descriptors import descriptor_limit
from netjumper.net.listening_sockets import ListenError, listen_on, open_listeners
from netjumper.net.reuseport import reuseport_group
from netjumper.net.socket_options import SocketOptions
from tests.support.peers import open_descriptors


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not spread")
def test_group_without_free_descriptors_is_closed():
    (sock,) = listen_on(ListenAddress.parse("127.0.0.1:0"))
    with sock:
        before = open_descriptors()
        with descriptor_limit(sock.fileno() + 10):
            with pytest.raises(ListenError, match=r"127\.0\.0\.1:\d+: Too many open files"):
                reuseport_group(sock, 1000, SocketOptions())
        assert open_descriptors() == before
        sock.getsockname()


def test_failed_listener_closes_those_opened_before_and_removes_their_files(tmp_path):
    path = tmp_path / "socket"
    (taken,) = listen_on(ListenAddress.parse("127.0.0.1:0"))
    with taken:
        before = open_descriptors()
        places = [f"unix:{path}", "127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"]
        with pytest.raises(ListenError, match="another program listens there") as caught:
            open_listeners([(str(at), ListenAddress.parse(it)) for at, it in enumerate(places)])
        assert caught.value.listener == "2"
        assert open_descriptors() == before
    assert not path.exists()
