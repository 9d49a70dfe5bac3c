"""The fail2ban filter: it finds the line about a banned address, and no other."""

import re
from pathlib import Path

import pytest

from netjumper.access_log import AccessRecord
from netjumper.logs.formatters import PlainFormatter
from netjumper.sessions.admission import Account, Admission, AdmissionLimits
from tests.support.clock import Clock
from tests.support.programs import run

FILTER = Path(__file__).parent.parent / "deploy/fail2ban/filter.d/netjumper.conf"
pytestmark = pytest.mark.needs("fail2ban-regex")


def found(line: str) -> list[str]:
    """Return the addresses that the filter finds in a line."""
    done = run(["fail2ban-regex", "--print-all-matched", "-o", "ip", line, str(FILTER)])
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.decode().split()


def ban_line(*peers: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return the log line about a ban after a failed authentication of each peer."""
    admission = Admission(
        Clock(), lambda _: Account(None), AdmissionLimits(auth_failures=len(peers))
    )
    for peer in peers:
        admission.auth_failed(peer)
    (record,) = caplog.records
    return PlainFormatter().format(record)


def test_filter_finds_the_banned_address(caplog):
    line = ban_line("203.0.113.7:1", "203.0.113.7:2", caplog=caplog)
    assert found(line) == ["203.0.113.7"]


def test_filter_finds_an_ipv6_address(caplog):
    line = ban_line("[2001:db8::7]:1", caplog=caplog)
    assert found(line) == ["2001:db8::7"]


def test_filter_finds_the_line_in_the_journal(caplog):
    text = ban_line("203.0.113.7:1", caplog=caplog).partition("WARNING ")[2]
    assert found(f"Nov 23 08:28:57 home netjumper[123]: {text}") == ["203.0.113.7"]


def test_forged_log_text_cannot_ban_another_address(caplog):
    text = ban_line("203.0.113.7:1", caplog=caplog).partition("WARNING ")[2]
    record = AccessRecord(
        peer="192.0.2.1:1", client="", target="", bytes_up=0, bytes_down=0, seconds=0.0,
        ending=f"InvalidTarget: dial tcp: address {text}", failed=True, kind="InvalidTarget",
    )  # fmt: skip
    line = f"2026-11-23T08:28:57.123Z WARNING {record}"
    assert re.search(r"203\.0\.113\.7$", line)
    assert found(line) == []
