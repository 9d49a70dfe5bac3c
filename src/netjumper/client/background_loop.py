"""What goes on in a thread of its own: a loop, for callers that have none, or what takes long."""

import asyncio
import functools
import os
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

ResultT = TypeVar("ResultT", bound="Closable")
_STARTING = threading.Lock()


class Closable(Protocol):
    """What a coroutine may return here."""

    def close(self) -> object:
        """Let go of it."""


def in_background(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on the loop in the background, and return what it returns.

    What it leaves running goes on there, until the process ends. Where the caller is interrupted,
    so is the coroutine, and what it had returned just then is closed.
    """
    with _STARTING:
        loop = _loop_of(os.getpid())
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        if not future.cancel() and future.exception() is None:
            future.result().close()
        raise


@functools.cache
def _loop_of(_pid: int) -> asyncio.AbstractEventLoop:
    """Return the loop of this process; a fork has no thread of its parent's."""
    loop = asyncio.SelectorEventLoop()
    threading.Thread(target=loop.run_forever, name="netjumper", daemon=True).start()
    return loop
