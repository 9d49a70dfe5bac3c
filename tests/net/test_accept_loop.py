"""The accept loop: many connections at once, and errors of accept."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from typing import Any

import pytest

from netjumper.net import listener as listener_module
from tests.support.accepting import AcceptingListener, accepting_at
from tests.support.peers import connected, eventually, listening, receive

pytestmark = pytest.mark.usefixtures("nothing_is_left")


OUT_OF_SOMETHING = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


@pytest.fixture
def short_pause(monkeypatch):
    """Pause for a tenth of a second, and tell the first time, whatever the test before told."""
    monkeypatch.setattr(listener_module, "ACCEPT_PAUSE_S", 0.1)
    monkeypatch.setattr(listener_module, "_ACCEPT_ERRORS", listener_module.AcceptErrorLog())


class ShortOfDescriptors:
    """A listening socket whose first calls of `accept` fail."""

    def __init__(self, *failures: int) -> None:
        self._sock = listening()
        self._failures = list(failures)
        self.calls = 0
        self.family = self._sock.family
        self.fileno = self._sock.fileno
        self.getsockname = self._sock.getsockname
        self.close = self._sock.close

    def accept(self) -> tuple[socket.socket, Any]:
        self.calls += 1
        if self._failures:
            number = self._failures.pop(0)
            raise OSError(number, os.strerror(number))
        return self._sock.accept()


CONNECTIONS_OWN = (
    "ECONNABORTED", "ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH",
    "EOPNOTSUPP", "ENETUNREACH",
)  # fmt: skip


async def test_many_connections_are_accepted_in_one_go():
    with accepting_at("127.0.0.1:0") as it:
        socks = [await connected(it.listener.address) for _ in range(200)]
        await eventually(lambda: len(it.endpoints) == 200)
        for sock in socks:
            sock.close()


async def test_closed_listener_keeps_its_accepted_connections():
    with accepting_at("127.0.0.1:0") as it, await connected(it.listener.address) as sock:
        await eventually(lambda: len(it.endpoints) == 1)
        it.close()
        with pytest.raises(ConnectionRefusedError):
            await connected(it.listener.address)
        it.endpoints[0].send(b"still here")
        assert await receive(sock) == b"still here"


@pytest.mark.parametrize("number", [*OUT_OF_SOMETHING, errno.EPERM, errno.EINVAL, errno.EIO])
async def test_lasting_accept_error_pauses_is_logged_and_ends(number, short_pause, caplog):
    loop = asyncio.get_running_loop()
    sock = ShortOfDescriptors(number)
    with AcceptingListener(sock) as it, caplog.at_level(logging.ERROR, "netjumper"):
        began = loop.time()
        with await connected(it.listener.address):
            await eventually(lambda: len(it.endpoints) == 1)
        assert loop.time() - began >= 0.1 - 1e-6
        # Once in vain, once for the connection, once to see that there is no other.
        assert sock.calls == 3
    (record,) = caplog.records
    assert record.getMessage() == (
        f"cannot accept connections on {it.listener.address} for 0.1 s: {os.strerror(number)}"
    )


async def test_listener_can_be_closed_during_a_pause(short_pause, caplog):
    with AcceptingListener(ShortOfDescriptors(errno.EMFILE)) as it:
        with await connected(it.listener.address):
            await eventually(lambda: bool(caplog.records))
    assert it.endpoints == []


async def test_pausing_listeners_log_one_line(short_pause, monkeypatch, caplog):
    monkeypatch.setattr(listener_module, "ACCEPT_PAUSE_S", 60.0)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            it = stack.enter_context(AcceptingListener(ShortOfDescriptors(errno.EMFILE)))
            stack.enter_context(await connected(it.listener.address))
            await eventually(lambda it=it: it.sock.calls == 1)
    assert len(caplog.records) == 1


async def test_resuming_listeners_log_one_line_per_pause(short_pause, caplog):
    with contextlib.ExitStack() as stack:
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            it = stack.enter_context(
                AcceptingListener(ShortOfDescriptors(errno.EMFILE, errno.EMFILE))
            )
            stack.enter_context(await connected(it.listener.address))
        await eventually(lambda it=it: len(it.endpoints) == 1)
        assert len(caplog.records) <= 1 + (asyncio.get_running_loop().time() - began) / 0.1


@pytest.mark.parametrize("number", [getattr(errno, name) for name in CONNECTIONS_OWN])
async def test_connection_that_failed_in_the_queue_is_ignored(number, caplog):
    with AcceptingListener(ShortOfDescriptors(number)) as it, await connected(it.listener.address):
        await eventually(lambda: len(it.endpoints) == 1)
    assert caplog.records == []
