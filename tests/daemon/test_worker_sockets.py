"""The listening sockets of several processes: where connections go while one of them is missing."""

import socket
import sys
from collections.abc import Iterator

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.daemon.descriptors import descriptor_limit
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.net.listening_sockets import ListenError
from netjumper.net.socket_options import SocketOptions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not spread")
MANY = 40
"""That all of them go to one of two by chance does not happen."""


@pytest.fixture
def entrance() -> Iterator[WorkerSockets]:
    it = WorkerSockets.open([("socks", ListenAddress("127.0.0.1", 0))], 2, SocketOptions())
    yield it
    it.close()


def parts_of(entrance: WorkerSockets) -> list[socket.socket]:
    ((_, parts),) = entrance._parts
    return parts


def came(entrance: WorkerSockets) -> list[int]:
    """Return how many of `MANY` connections came to each part; -1 where it is closed."""
    host, _, port = entrance.listening[0][1].rpartition(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(MANY)]
    counts = []
    for part in parts_of(entrance):
        count = -1 if part.fileno() < 0 else 0
        while count >= 0:
            try:
                part.accept()[0].close()
            except BlockingIOError:
                break
            count += 1
        counts.append(count)
    for client in clients:
        client.close()
    return counts


def test_what_would_come_to_one_that_is_missing_comes_to_the_others(entrance):
    assert min(came(entrance)) > 0
    entrance.pause(1)
    assert came(entrance) == [MANY, -1]
    entrance.resume(1)
    assert min(came(entrance)) > 0
    assert sum(came(entrance)) == MANY
    entrance.pause(0)
    assert came(entrance) == [-1, MANY]


def test_the_last_keeps_the_port_and_what_waits_there(entrance):
    entrance.pause(0)
    entrance.pause(1)
    entrance.pause(1)
    assert came(entrance) == [-1, MANY]
    entrance.resume(0)
    entrance.resume(1)
    assert min(came(entrance)) > 0


def test_a_unix_socket_is_shared_and_stays(tmp_path):
    path = str(tmp_path / "door")
    it = WorkerSockets.open([("socks", ListenAddress("", 0, path))], 2, SocketOptions())
    it.pause(0)
    it.resume(0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        parts_of(it)[0].accept()[0].close()
    it.close()


def test_where_it_cannot_be_opened_again_that_is_told(entrance):
    entrance.pause(1)
    with socket.socket() as probe, descriptor_limit(probe.fileno()):
        with pytest.raises(ListenError, match=r"cannot listen on 127\.0\.0\.1:\d+: Too many open"):
            entrance.resume(1)
    entrance.resume(1)
    assert min(came(entrance)) > 0
