"""Settings for every test."""

import asyncio
from collections.abc import Callable, Mapping

from hypothesis import settings

try:
    import uvloop
except ImportError:
    uvloop = None

# How long one example takes says more about the machine than about the code.
settings.register_profile("netjumper", deadline=None)
settings.load_profile("netjumper")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on both loops where both are: they tell of errors differently."""
    factories = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories
