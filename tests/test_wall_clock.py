"""Whoever sets the clock forward or back while we run changes no deadline."""

import re
from pathlib import Path

import netjumper

SOURCE = Path(netjumper.__file__).parent
WALL_CLOCK = re.compile(
    r"\btime\.time(_ns)?\(|import time\b.*\btime\b,|\b(utc)?now\(|\btoday\(|localtime\(|gmtime\("
    r"|CLOCK_REALTIME|from time import .*\btime\b"
)
MAY_READ_IT = {
    "server/clients.py": "the day on which a client's access expires",
    "logs/terminal.py": "the time in front of a line",
    "logs/formatters.py": "the same",
    "cli/keygen.py": "from when until when a certificate is valid",
}


def test_the_wall_clock_is_read_for_dates_only():
    reading = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if WALL_CLOCK.search(path.read_text())
    }
    assert reading == set(MAY_READ_IT)
