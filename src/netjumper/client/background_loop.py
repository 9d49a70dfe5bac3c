"""What goes on in a thread of its own: a loop, for callers that have none, or what takes long."""

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

AnyT = TypeVar("AnyT")
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


async def aside(work: Callable[[], AnyT]) -> AnyT:
    """Do in a thread what takes long; unlike `asyncio.to_thread`, no end of the loop waits for it.

    Raises:
        RuntimeError: the system grants no more threads; otherwise whatever `work` raises.
    """
    future: Future[AnyT] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is for who waits
            future.set_exception(error)

    threading.Thread(target=run, name="netjumper aside", daemon=True).start()
    return await asyncio.wrap_future(future)
