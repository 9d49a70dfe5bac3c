"""Output for a terminal: coloured log lines, and the panel at the start."""

import io
import logging
import re
import sys

import pytest

from netjumper.access_log import AccessRecord
from netjumper.logs.terminal import RichFormatter, StartSummary
from netjumper.text import printable

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def formatter(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return RichFormatter(Terminal())


def record(message, level=logging.INFO, **more):
    return logging.LogRecord("netjumper", level, __file__, 1, message, None, None, **more)


def end(**changes):
    values = {
        "peer": "127.0.0.1:5000",
        "client": "alice",
        "target": "example.org:443",
        "bytes_up": 1234,
        "bytes_down": 268435456,
        "seconds": 12.3456,
        "ending": "closed",
        "failed": False,
        "kind": "",
    }
    return AccessRecord(**{**values, **changes})


def test_access_line_shows_peer_target_sizes_duration_and_ending(formatter):
    line = formatter.format(record(end()))
    assert ANSI.sub("", line)[9:] == (
        "127.0.0.1:5000 (alice) -> example.org:443  up 1.2 kB  down 268 MB  12.35 s  closed"
    )


def test_access_line_without_a_target_has_a_question_mark(formatter):
    failed = end(client="", target="", ending="HandshakeTimeout: too long", failed=True)
    line = formatter.format(record(failed, logging.WARNING))
    assert "127.0.0.1:5000 -> ?  up" in ANSI.sub("", line)
    assert re.search(r"\x1b\[31mHandshakeTimeout: too long\x1b\[0m$", line)


def test_text_from_the_network_is_neither_markup_nor_a_terminal_command(formatter):
    hostile = "[bold red]x[/] [link=http://evil]y :smile: \x1b]0;title\x07\n2026 forged"
    for message in (hostile, end(client=hostile, target=hostile, ending=hostile)):
        shown = ANSI.sub("", formatter.format(record(message)))
        assert printable(hostile) in shown
        assert "\x1b" not in shown
        assert "\n" not in shown


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.ERROR])
def test_level_other_than_info_is_named(formatter, level):
    shown = ANSI.sub("", formatter.format(record("text", level)))
    assert shown[9:] == f"{logging.getLevelName(level).lower()} text"


def test_level_info_is_not_named(formatter):
    assert ANSI.sub("", formatter.format(record("text")))[9:] == "text"


def test_long_line_is_not_wrapped(formatter):
    assert "\n" not in formatter.format(record("word " * 100))


def test_traceback_lines_on_a_terminal_cannot_pass_for_entries(formatter):
    try:
        raise ValueError("bad\n2026 forged")
    except ValueError:
        entry = record("oops", logging.ERROR)
        entry.exc_info = sys.exc_info()
    first, *more = ANSI.sub("", formatter.format(entry)).splitlines()
    assert first.endswith("error oops")
    assert more[0] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") for line in more)


LISTENING = [
    ("socks", "127.0.0.1:1080"),
    ("http", "[::1]:8118"),
    ("mixed", "0.0.0.0:3128"),
    ("socks", "unix:/run/netjumper/socks"),
]


START = StartSummary(
    title="netjumper-bridge 1.2.3",
    listening=LISTENING,
    route="through jump host home.example.net:9527",
    paste=["curl " + "x" * 120],
)


def test_start_summary_has_a_line_for_each_socket_and_the_route():
    assert START.lines() == [
        "listening for SOCKS on 127.0.0.1:1080",
        "listening for HTTP on [::1]:8118",
        "listening for SOCKS and HTTP on 0.0.0.0:3128",
        "listening for SOCKS on unix:/run/netjumper/socks",
        "through jump host home.example.net:9527",
        *(f"try: {line}" for line in START.paste),
    ]


def test_panel_frames_the_listeners_but_not_the_commands(formatter):
    *panel, paste = ANSI.sub("", START.panel(formatter)).splitlines()
    assert panel[0].startswith("╭─ netjumper-bridge 1.2.3 ")
    assert [line.strip("│ ") for line in panel[1:-1]] == [
        "SOCKS           127.0.0.1:1080",
        "HTTP            [::1]:8118",
        "SOCKS and HTTP  0.0.0.0:3128",
        "SOCKS           unix:/run/netjumper/socks",
        "through jump host home.example.net:9527",
    ]
    assert panel[-1].startswith("╰─")
    assert paste == "  curl " + "x" * 120
