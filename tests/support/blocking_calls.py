"""Detects calls of the package that block an event loop.

The package blockbuster does the same, but one that it needs has no wheel.
"""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

_REAL_SLEEP = time.sleep
SOCKET_CALLS = ("accept", "connect", "recv", "recv_into", "send", "sendall")


class BlockingCallError(Exception):
    """A call in a running loop could have blocked it."""


@contextlib.contextmanager
def no_blocking_calls() -> Iterator[None]:
    """Let the package's calls of blocking sockets, and its sleeps, fail in a running loop."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SOCKET_CALLS:
            patch.setattr(socket.socket, name, _checked(name))
        patch.setattr(time, "sleep", _sleep)
        yield


def _checked(name: str) -> Callable[..., Any]:
    original = getattr(socket.socket, name)

    def call(sock: socket.socket, *arguments: Any) -> Any:
        if sock.gettimeout() != 0.0 and _is_the_packages_in_a_loop():
            raise BlockingCallError(f"{name} of a blocking socket")
        return original(sock, *arguments)

    return call


def _sleep(seconds: float) -> None:
    if _is_the_packages_in_a_loop():
        raise BlockingCallError("sleep")
    _REAL_SLEEP(seconds)


def _is_the_packages_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals["__name__"] == "socket":
        frame = frame.f_back
    return frame is not None and frame.f_globals["__name__"].startswith("netjumper.")
