"""Lines that strangers can cause: how many are logged, and that the others are counted."""

import asyncio
import io
import json
import logging
import timeit

import pytest

from netjumper.access_log import AccessRecord
from netjumper.logs.handler import set_up_logging
from netjumper.logs.rate_limit import LOG_BURST, LOG_LINES_PER_S, REPORT_INTERVAL_S, RateLimitFilter

WRONG = "AuthenticationError: wrong secret"


def end(target="", ending=WRONG, peer="203.0.113.7:1234"):
    return AccessRecord(peer, "", target, 0, 0, 0.0, ending, failed=True)


def record(message, level=logging.WARNING, line=1):
    return logging.LogRecord("netjumper", level, __file__, line, message, None, None)


class Flooded:
    """A filter with a clock and timers of its own, and what it lets through."""

    def __init__(self):
        self.now = 1000.0
        self.told = []
        self.timers = []
        self.filter = RateLimitFilter(
            lambda made: self.told.append(made.getMessage()),
            lambda: self.now,
            lambda delay, callback: self.timers.append((self.now + delay, callback)),
        )

    def log(self, made, times=1):
        """Return how many passed."""
        return sum(self.filter.filter(made) for _ in range(times))

    def wait(self, seconds):
        self.now += seconds
        due = [it for it in self.timers if it[0] <= self.now]
        self.timers = [it for it in self.timers if it[0] > self.now]
        for _, callback in due:
            callback()


@pytest.fixture
def flooded():
    return Flooded()


def test_a_burst_passes_and_then_so_many_a_second(flooded):
    assert flooded.log(record(end()), 1000) == LOG_BURST
    for _ in range(3):
        flooded.wait(1.0)
        assert flooded.log(record(end()), 1000) == LOG_LINES_PER_S


def test_after_some_quiet_there_is_room_for_another_burst_and_no_more(flooded):
    flooded.log(record(end()), 1000)
    flooded.wait(3600.0)
    assert flooded.log(record(end()), 1000) == LOG_BURST


def test_what_was_left_out_is_told_with_its_number_when_the_second_is_over(flooded):
    flooded.log(record(end()), LOG_BURST + 12_344)
    flooded.log(record(end(peer="203.0.113.8:1")))
    assert flooded.told == []
    flooded.wait(REPORT_INTERVAL_S)
    assert flooded.told == [
        f"left out 12,345 lines like: {end(peer='203.0.113.8:1')}",
    ]
    flooded.wait(REPORT_INTERVAL_S)
    assert len(flooded.told) == 1


def test_a_single_line_that_was_left_out_is_told_too(flooded):
    flooded.log(record(end()), LOG_BURST + 1)
    flooded.wait(REPORT_INTERVAL_S)
    assert flooded.told == [f"left out 1 line like: {end()}"]


def test_while_it_lasts_a_flood_is_one_line_of_its_kind_a_second(flooded):
    for _ in range(100):
        flooded.log(record(end()), 10)
        flooded.wait(0.1)
    assert 9 <= len(flooded.told) <= 10


def test_without_a_loop_the_next_line_of_any_kind_has_it_told(flooded):
    flooded.filter._later = lambda *_: None
    flooded.log(record(end()), LOG_BURST + 1)
    flooded.wait(REPORT_INTERVAL_S)
    assert flooded.told == []
    assert flooded.log(record(end("example.org:443")))
    assert len(flooded.told) == 1


def test_kinds_do_not_take_each_others_room(flooded):
    flooded.log(record(end()), 1000)
    assert flooded.log(record(end(ending="HandshakeTimeout: too long"))) == 1
    assert flooded.log(record("%s; it is tried again", line=2)) == 1
    flooded.log(record("%s; it is tried again", line=2), 1000)
    assert flooded.log(record("%s took place", line=3)) == 1


def test_a_kind_is_where_a_line_comes_from_and_not_what_it_says(flooded):
    """Or whoever chooses the words would have as many kinds, and as much memory, as he likes."""
    passed = sum(flooded.log(record(f"odd {number}")) for number in range(1000))
    passed += sum(
        flooded.log(record(end(ending=f"ProtocolError: {number}"))) for number in range(1000)
    )
    assert passed == 2 * LOG_BURST
    assert len(flooded.filter._buckets) == 2


def test_a_tunnels_own_lines_are_never_left_out(flooded):
    assert flooded.log(record(end("example.org:443")), 10_000) == 10_000


def test_what_is_told_of_the_service_is_never_left_out(flooded):
    assert flooded.log(record("listening", logging.INFO), 1000) == 1000


def test_a_line_at_the_lowest_level_is_left_out_too(flooded):
    assert flooded.log(record("%s connected", logging.DEBUG), 1000) == LOG_BURST


@pytest.mark.parametrize("style", ["plain", "json", "rich", "journal"])
async def test_in_every_format_the_loop_has_it_told_once_the_flood_is_over(
    style, untouched_logging, monkeypatch
):
    monkeypatch.setattr("netjumper.logs.rate_limit.REPORT_INTERVAL_S", 0.05)
    stream = io.StringIO()
    set_up_logging("info", style, stream)
    for _ in range(LOG_BURST + 7):
        logging.getLogger("netjumper.access").warning(end())
    async with asyncio.timeout(10):
        while "left out" not in stream.getvalue():  # noqa: ASYNC110 - a stream has no event
            await asyncio.sleep(0.005)
    *lines, last = stream.getvalue().splitlines()
    assert len(lines) == LOG_BURST
    if style == "json":
        told = json.loads(last)
        assert told["level"] == "warning"
        last = told["message"]
    assert last.endswith(f"left out 7 lines like: {end()}")


def test_an_ordinary_line_is_let_through_in_no_time():
    flood = RateLimitFilter(lambda _: None)
    made = record(end("example.org:443"), logging.INFO)
    # To make the line out of it takes ten times as long.
    assert min(timeit.repeat(lambda: flood.filter(made), number=1000, repeat=20)) / 1000 < 2e-6
