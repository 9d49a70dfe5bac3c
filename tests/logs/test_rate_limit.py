"""The limit on log lines that peers can cause: how many are logged; the others are counted."""

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


def end(target="", ending=WRONG, peer="203.0.113.7:1234", kind="AuthenticationError"):
    return AccessRecord(peer, "", target, 0, 0, 0.0, ending, failed=True, kind=kind)


def record(message, level=logging.WARNING, line=1):
    return logging.LogRecord("netjumper", level, __file__, line, message, None, None)


class Flooded:
    """A filter with a scripted clock and timers, and the lines that it reports."""

    def __init__(self):
        self.now = 1000.0
        self.reports = []
        self.timers = []
        self.filter = RateLimitFilter(
            lambda made: self.reports.append(made.getMessage()),
            lambda: self.now,
            lambda delay, callback: self.timers.append((self.now + delay, callback)),
        )

    def log(self, made, times=1):
        """Log a record several times; return how often it passed."""
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


def test_burst_passes_and_then_a_fixed_rate(flooded):
    assert flooded.log(record(end()), 1000) == LOG_BURST
    for _ in range(3):
        flooded.wait(1.0)
        assert flooded.log(record(end()), 1000) == LOG_LINES_PER_S


def test_exactly_one_more_burst_passes_after_a_pause(flooded):
    flooded.log(record(end()), 1000)
    flooded.wait(3600.0)
    assert flooded.log(record(end()), 1000) == LOG_BURST


def test_number_of_suppressed_lines_is_reported_after_the_interval(flooded):
    flooded.log(record(end()), LOG_BURST + 12_344)
    flooded.log(record(end(peer="203.0.113.8:1")))
    assert flooded.reports == []
    flooded.wait(REPORT_INTERVAL_S)
    assert flooded.reports == [
        f"suppressed 12,345 similar lines: {end(peer='203.0.113.8:1')}",
    ]
    flooded.wait(REPORT_INTERVAL_S)
    assert len(flooded.reports) == 1


def test_single_suppressed_line_is_reported(flooded):
    flooded.log(record(end()), LOG_BURST + 1)
    flooded.wait(REPORT_INTERVAL_S)
    assert flooded.reports == [f"suppressed 1 similar line: {end()}"]


def test_lasting_flood_is_reported_once_per_interval(flooded):
    for _ in range(100):
        flooded.log(record(end()), 10)
        flooded.wait(0.1)
    assert 9 <= len(flooded.reports) <= 10


def test_next_record_makes_the_report_without_a_loop(flooded):
    flooded.filter._call_later = lambda *_: None
    flooded.log(record(end()), LOG_BURST + 1)
    flooded.wait(REPORT_INTERVAL_S)
    assert flooded.reports == []
    assert flooded.log(record(end("example.org:443")))
    assert len(flooded.reports) == 1


def test_kinds_of_lines_have_separate_buckets(flooded):
    flooded.log(record(end()), 1000)
    assert flooded.log(record(end(kind="HandshakeTimeout"))) == 1
    assert flooded.log(record("%s; retrying", line=2)) == 1
    flooded.log(record("%s; retrying", line=2), 1000)
    assert flooded.log(record("%s took place", line=3)) == 1


def test_kind_is_the_origin_of_a_line_and_not_its_text(flooded):
    """Otherwise a peer that chooses the text could create kinds, and use memory, without limit."""
    passed = sum(flooded.log(record(f"odd {number}")) for number in range(1000))
    passed += sum(
        flooded.log(record(end(ending=f"METHOD{number}: Refused"))) for number in range(1000)
    )
    assert passed == 2 * LOG_BURST
    assert len(flooded.filter._buckets) == 2


def test_access_lines_with_a_target_are_never_suppressed(flooded):
    assert flooded.log(record(end("example.org:443")), 10_000) == 10_000


def test_info_lines_about_the_service_are_never_suppressed(flooded):
    assert flooded.log(record("listening", logging.INFO), 1000) == 1000


def test_debug_lines_are_suppressed_too(flooded):
    assert flooded.log(record("%s connected", logging.DEBUG), 1000) == LOG_BURST


@pytest.mark.parametrize("style", ["plain", "json", "rich", "journal"])
async def test_loop_reports_suppressed_lines_in_every_format(style, untouched_logging, monkeypatch):
    monkeypatch.setattr("netjumper.logs.rate_limit.REPORT_INTERVAL_S", 0.05)
    stream = io.StringIO()
    set_up_logging("info", style, stream)
    for _ in range(LOG_BURST + 7):
        logging.getLogger("netjumper.access").warning(end())
    async with asyncio.timeout(10):
        while "suppressed" not in stream.getvalue():  # noqa: ASYNC110 - a stream has no event
            await asyncio.sleep(0.005)
    *lines, last = stream.getvalue().splitlines()
    assert len(lines) == LOG_BURST
    if style == "json":
        entry = json.loads(last)
        assert entry["level"] == "warning"
        last = entry["message"]
    assert last.endswith(f"suppressed 7 similar lines: {end()}")


def test_filtering_an_ordinary_line_takes_less_than_two_microseconds():
    flood = RateLimitFilter(lambda _: None)
    made = record(end("example.org:443"), logging.INFO)
    # Formatting the line takes ten times as long.
    assert min(timeit.repeat(lambda: flood.filter(made), number=1000, repeat=20)) / 1000 < 2e-6
