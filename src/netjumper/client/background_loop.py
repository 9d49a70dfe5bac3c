"""An event loop in a thread, for callers without one, and calls that take long in a thread."""

import asyncio
import functools
import os
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

ResultT = TypeVar("ResultT", bound="Closable")
_STARTING = threading.Lock()


class Closable(Protocol):
    """What a coroutine can return here."""

    def close(self) -> object:
        """Close it."""


def in_background(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on the background loop and return its result.

    Tasks that it starts go on there until the process ends. If the caller is interrupted, the
    coroutine is cancelled; a result that it has returned by then is closed.
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
    """Return the loop of this process; a forked process has none of its parent's threads."""
    loop = asyncio.SelectorEventLoop()
    threading.Thread(target=loop.run_forever, name="netjumper", daemon=True).start()
    return loop
