"""Log lines: plain and JSON, their times, their escapes, and what they cost."""

import io
import json
import logging
import sys
import time

import pytest

from netjumper.access_log import AccessRecord
from netjumper.logs.formatters import JsonFormatter, PlainFormatter, UtcClock
from netjumper.logs.handler import NonBlockingHandler, set_up_logging
from netjumper.logs.terminal import RichFormatter

END = AccessRecord("127.0.0.1:5000", "alice", "example.org:443", 10, 20, 1.5, "closed", False)
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


def test_a_plain_line_is_time_level_and_text():
    line = PlainFormatter().format(record("listening for SOCKS on 127.0.0.1:1080"))
    assert line == "2023-11-14T22:13:20.250Z INFO listening for SOCKS on 127.0.0.1:1080"


def test_a_plain_line_tells_a_tunnels_end():
    assert (
        PlainFormatter()
        .format(record(END))
        .endswith(
            " INFO 127.0.0.1:5000 (alice) -> example.org:443: up 10 down 20 bytes, 1.500 s, closed"
        )
    )


def test_a_json_line_has_a_tunnels_end_as_fields():
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
    }


def test_a_json_line_of_anything_else_has_the_text_only():
    line = JsonFormatter().format(record("text", logging.WARNING))
    assert json.loads(line).keys() == {"time", "level", "logger", "message"}
    assert json.loads(line)["level"] == "warning"


@pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    "message", [HOSTILE, AccessRecord(HOSTILE, HOSTILE, HOSTILE, 0, 0, 0.0, HOSTILE, True)]
)
def test_an_entry_from_the_network_stays_one_printable_line(formatter, message):
    assert formatter.format(record(message)).isprintable()


def test_json_keeps_what_was_sent():
    assert json.loads(JsonFormatter().format(record(HOSTILE)))["message"] == HOSTILE


def test_a_plain_exception_cannot_be_taken_for_entries():
    first, *more = PlainFormatter().format(failed_record()).split("\n")
    assert first.endswith(" ERROR oops")
    assert more[0] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") and line.isprintable() for line in more)


def test_a_json_exception_is_a_field():
    line = JsonFormatter().format(failed_record())
    assert line.isprintable()
    assert "Traceback" in json.loads(line)["exception"]


def test_the_clock_goes_on_within_and_across_seconds():
    clock = UtcClock()
    assert [clock(when) for when in (0.0, 0.999, 1.0, 86400.5)] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "1970-01-01T00:00:01.000Z",
        "1970-01-02T00:00:00.500Z",
    ]


@pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter()])
def test_a_line_costs_a_few_microseconds(formatter):
    made, best = record(END), 1.0
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(100):
            formatter.format(made)
        best = min(best, (time.perf_counter() - began) / 100)
    # Room for a slow machine, and none for rich, which takes ten times as long or more.
    assert best < 20e-6


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("style", "stream", "formatter"),
    [
        ("auto", io.StringIO(), PlainFormatter),
        ("auto", Terminal(), RichFormatter),
        ("plain", Terminal(), PlainFormatter),
        ("json", Terminal(), JsonFormatter),
        ("rich", io.StringIO(), RichFormatter),
    ],
)
def test_the_format_is_the_one_asked_for_or_fits_the_stream(
    style, stream, formatter, untouched_logging
):
    rich = set_up_logging("info", style, stream)
    (handler,) = logging.getLogger().handlers
    assert type(handler.formatter) is formatter
    assert rich is (handler.formatter if formatter is RichFormatter else None)


def test_what_is_below_the_level_is_not_logged(untouched_logging):
    stream = io.StringIO()
    set_up_logging("warning", "plain", stream)
    logging.getLogger("netjumper").info("quiet")
    logging.getLogger("netjumper.access").warning("loud")
    assert stream.getvalue().endswith("WARNING loud\n")
    assert "quiet" not in stream.getvalue()


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_stream_that_is_gone_is_passed_over(capsys):
    handler = NonBlockingHandler(Gone())
    handler.handle(record("text"))
    assert capsys.readouterr().err == ""


def test_a_bug_in_a_message_is_told(capsys):
    made = record("%d")
    made.args = ("no number",)
    handler = NonBlockingHandler(io.StringIO())
    handler.handle(made)
    assert "Logging error" in capsys.readouterr().err
