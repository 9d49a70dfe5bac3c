"""The reports of a process of the soak to its parent: lines of JSON."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from soak.streams import WrongError

HANGS = 150.0
"""Seconds after which a connection hangs; the longest planned ones take a fifth of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that was not as planned.

    Attributes:
        what: a sentence.
        wrong: whether it is wrong even if the jump server was killed.
        since: when the connection began, in `time.monotonic` seconds.
        until: when it failed.
    """

    what: str
    wrong: bool
    since: float
    until: float


class Reporter:
    """Counts, and prints the counts to standard output once a second."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def for_ever(self) -> None:
        """Tell what was counted."""
        while True:
            await asyncio.sleep(1.0)
            self.flush()

    def flush(self) -> None:
        """Tell what was counted since the last time."""
        counts, self.counts = self.counts, Counter()
        sys.stdout.write(json.dumps({"counts": counts}) + "\n")
        sys.stdout.flush()

    async def watch(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Run `work`, and report if it fails or hangs; return whether it did neither."""
        since = time.monotonic()
        try:
            async with asyncio.timeout(HANGS):
                await work()
        except TimeoutError:
            self._fail(f"{name}: hangs", since, wrong=True)
        except WrongError as error:
            self._fail(f"{name}: {error}", since, wrong=True)
        except Exception as error:  # noqa: BLE001 - any error is reported
            self._fail(f"{name}: {type(error).__name__}: {error}", since, wrong=False)
        else:
            return True
        return False

    def _fail(self, what: str, since: float, *, wrong: bool) -> None:
        failure = Failure(what=what, wrong=wrong, since=since, until=time.monotonic())
        sys.stdout.write(json.dumps({"failure": asdict(failure)}) + "\n")
        sys.stdout.flush()
