"""Report counts and failures of a child process to its parent, as lines of JSON."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from soak.streams import WrongError

HANG_TIME_S = 150.0
"""A connection that takes longer hangs; the longest plans take a fifth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A connection that did not go as planned.

    Attributes:
        what: what happened, for people.
        wrong: whether a restart of the jump server cannot excuse it.
        since: when the connection began, in `time.monotonic` seconds.
        until: when it failed.
    """

    what: str
    wrong: bool
    since: float
    until: float


class Reporter:
    """Prints counts once a second, and each failure at once, to standard output."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Print the counts once a second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            self.flush()

    def flush(self) -> None:
        """Print what was counted since the last call."""
        counts, self.counts = self.counts, Counter()
        sys.stdout.write(json.dumps({"counts": counts}) + "\n")
        sys.stdout.flush()

    async def watch(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Run `work` and report if it fails or hangs; return whether it succeeded.

        Args:
            name: of the work, for the report.
            work: the function to run.
        """
        since = time.monotonic()
        try:
            async with asyncio.timeout(HANG_TIME_S):
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
