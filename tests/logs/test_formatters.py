"""Plain and JSON log lines: their times, their escapes, and what they cost."""

import json
import logging
import sys
import time

import pytest

from netjumper.access_log import AccessRecord
from netjumper.logs.formatters import JsonFormatter, PlainFormatter, UtcClock

END = AccessRecord("127.0.0.1:5000", "alice", "example.org:443", 10, 20, 1.5, "closed", False, "")
HOSTILE = "a\r\n2026-01-01T00:00:00.000Z INFO forged \x1b[2J\x9b\u2028\u202e\udcff"


def record(message, level=logging.INFO, when=1_700_000_000.25):
    made = logging.LogRecord("netjumper.access", level, __file__, 1, message, None, None)
    made.created = when
    return made


def failed_record():
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        made = record("oops", logging.ERROR)
        made.exc_info = sys.exc_info()
        return made


def test_plain_line_has_time_level_and_text():
    line = PlainFormatter().format(record("listening for SOCKS on 127.0.0.1:1080"))
    assert line == "2023-11-14T22:13:20.250Z INFO listening for SOCKS on 127.0.0.1:1080"


def test_plain_access_line_has_every_field():
    assert (
        PlainFormatter()
        .format(record(END))
        .endswith(
            " INFO 127.0.0.1:5000 (alice) -> example.org:443: up 10 down 20 bytes, 1.500 s, closed"
        )
    )


def test_json_access_line_has_a_key_for_every_field():
    assert json.loads(JsonFormatter().format(record(END))) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "netjumper.access",
        "message": str(END),
        "peer": "127.0.0.1:5000",
        "client": "alice",
        "target": "example.org:443",
        "bytes_up": 10,
        "bytes_down": 20,
        "seconds": 1.5,
        "ending": "closed",
        "failed": False,
        "kind": "",
    }


def test_other_json_line_has_time_level_logger_and_message():
    line = JsonFormatter().format(record("text", logging.WARNING))
    assert json.loads(line).keys() == {"time", "level", "logger", "message"}
    assert json.loads(line)["level"] == "warning"


@pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    "message", [HOSTILE, AccessRecord(HOSTILE, HOSTILE, HOSTILE, 0, 0, 0.0, HOSTILE, True, HOSTILE)]
)
def test_text_from_the_network_stays_one_printable_line(formatter, message):
    assert formatter.format(record(message)).isprintable()


def test_json_preserves_unprintable_text():
    assert json.loads(JsonFormatter().format(record(HOSTILE)))["message"] == HOSTILE


def test_plain_traceback_lines_cannot_pass_for_entries():
    first, *more = PlainFormatter().format(failed_record()).split("\n")
    assert first.endswith(" ERROR oops")
    assert more[0] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") and line.isprintable() for line in more)


def test_json_line_has_the_traceback_as_a_key():
    line = JsonFormatter().format(failed_record())
    assert line.isprintable()
    assert "Traceback" in json.loads(line)["exception"]


def test_clock_formats_times_within_and_across_seconds():
    clock = UtcClock()
    assert [clock(when) for when in (0.0, 0.999, 1.0, 86400.5)] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "1970-01-01T00:00:01.000Z",
        "1970-01-02T00:00:00.500Z",
    ]


@pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter()])
def test_formatting_a_line_takes_a_few_microseconds(formatter):
    made, best = record(END), 1.0
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(100):
            formatter.format(made)
        best = min(best, (time.perf_counter() - began) / 100)
    # Enough for a slow machine; rich would take ten times as long or more.
    assert best < 20e-6
