"""The listening sockets of workers: where connections go while a worker is paused."""

import socket
import sys
from collections.abc import Iterator

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.daemon.descriptors import descriptor_limit
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.net.listening_sockets import ListenError
from netjumper.net.socket_options import SocketOptions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections")
MANY = 40
"""Connections; it is unlikely that so many all go to one of two sockets."""


@pytest.fixture
def sockets() -> Iterator[WorkerSockets]:
    it = WorkerSockets.open([("socks", ListenAddress("127.0.0.1", 0))], 2, SocketOptions())
    yield it
    it.close()


def group_of(sockets: WorkerSockets) -> list[socket.socket]:
    ((_, group),) = sockets._groups
    return group


def accepted(sockets: WorkerSockets) -> list[int]:
    """Return how many of `MANY` connections each socket accepts; -1 if it is closed."""
    host, _, port = sockets.listening[0][1].rpartition(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(MANY)]
    counts = []
    for sock in group_of(sockets):
        count = -1 if sock.fileno() < 0 else 0
        while count >= 0:
            try:
                sock.accept()[0].close()
            except BlockingIOError:
                break
            count += 1
        counts.append(count)
    for client in clients:
        client.close()
    return counts


def test_connections_of_a_paused_worker_go_to_the_others(sockets):
    assert min(accepted(sockets)) > 0
    sockets.pause(1)
    assert accepted(sockets) == [MANY, -1]
    sockets.resume(1)
    assert min(accepted(sockets)) > 0
    assert sum(accepted(sockets)) == MANY
    sockets.pause(0)
    assert accepted(sockets) == [-1, MANY]


def test_last_socket_keeps_the_port_and_its_connections(sockets):
    sockets.pause(0)
    sockets.pause(1)
    sockets.pause(1)
    assert accepted(sockets) == [-1, MANY]
    sockets.resume(0)
    sockets.resume(1)
    assert min(accepted(sockets)) > 0


def test_unix_socket_is_shared_and_stays_open(tmp_path):
    path = str(tmp_path / "socket")
    it = WorkerSockets.open([("socks", ListenAddress("", 0, path))], 2, SocketOptions())
    it.pause(0)
    it.resume(0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        group_of(it)[0].accept()[0].close()
    it.close()


def test_failure_to_resume_is_an_error(sockets):
    sockets.pause(1)
    with socket.socket() as probe, descriptor_limit(probe.fileno()):
        with pytest.raises(ListenError, match=r"cannot listen on 127\.0\.0\.1:\d+: Too many open"):
            sockets.resume(1)
    sockets.resume(1)
    assert min(accepted(sockets)) > 0
