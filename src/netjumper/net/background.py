"""A loop in a thread of its own, for callers that have none."""

import asyncio
import functools
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")
_STARTING = threading.Lock()


def in_background(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on the loop in the background, and return what it returns.

    What it leaves running goes on there, until the process ends.
    """
    with _STARTING:
        loop = _loop_of(os.getpid())
    return asyncio.run_coroutine_threadsafe(work, loop).result()


@functools.cache
def _loop_of(_pid: int) -> asyncio.AbstractEventLoop:
    """Return the loop of this process; a fork has no thread of its parent's."""
    loop = asyncio.SelectorEventLoop()
    threading.Thread(target=loop.run_forever, name="netjumper", daemon=True).start()
    return loop
