"""One place to listen for several processes: what is left when it cannot be had."""

import contextlib
import resource
import sys
from collections.abc import Iterator

import pytest

from netjumper.net.doors import in_parts
from netjumper.net.listener import ListenAddress, ListenError, open_listeners
from netjumper.net.options import SocketOptions
from rogues import open_descriptors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not spread")


@contextlib.contextmanager
def descriptors_below(number: int) -> Iterator[None]:
    """Let the process have no descriptor of that number or above."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_out_of_descriptors_the_parts_that_there_were_are_closed():
    (sock,) = open_listeners(ListenAddress.parse("127.0.0.1:0"))
    with sock:
        before = open_descriptors()
        with descriptors_below(sock.fileno() + 10):
            with pytest.raises(ListenError, match=r"127\.0\.0\.1:\d+: Too many open files"):
                in_parts(sock, 1000, SocketOptions())
        assert open_descriptors() == before
        sock.getsockname()
