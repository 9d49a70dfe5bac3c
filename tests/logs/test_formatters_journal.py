"""Log lines for the journal: sd-daemon(3) priorities if standard error is the journal."""

import io
import json
import logging
import sys

import pytest

from netjumper.daemon import process
from netjumper.errors import SettingsError
from netjumper.logs.formatters import is_journal
from netjumper.logs.handler import set_up_logging


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Yield a file that the environment declares to be the journal."""
    with (tmp_path / "journal").open("w+") as file:
        found = (tmp_path / "journal").stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        yield file


def lines(file):
    file.seek(0)
    return file.read().splitlines()


def test_journal_line_has_a_priority_and_no_time(journal, untouched_logging):
    set_up_logging("debug", "auto", journal)
    log = logging.getLogger("netjumper")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(level, "te\nxt")
    log.log(25, "between")
    assert lines(journal) == [
        r"<7>te\nxt", r"<6>te\nxt", r"<4>te\nxt", r"<3>te\nxt", r"<2>te\nxt", "<6>between",
    ]  # fmt: skip


def test_each_line_of_a_traceback_has_the_priority(journal, untouched_logging):
    set_up_logging("info", "auto", journal)
    try:
        raise ValueError("<0>forged")
    except ValueError:
        logging.getLogger("netjumper").exception("oops")
    first, *more = lines(journal)
    assert first == "<3>oops"
    assert more[-1] == "<3>  | ValueError: <0>forged"
    assert all(line.startswith("<3>  | ") for line in more)


def test_requested_format_is_used_in_the_journal_too(journal, untouched_logging):
    set_up_logging("info", "json", journal)
    logging.getLogger("netjumper").info("text")
    (line,) = lines(journal)
    assert json.loads(line)["message"] == "text"


def test_error_of_a_command_has_the_error_priority_in_the_journal(journal, monkeypatch):
    def command():
        raise SettingsError("one", "two")

    monkeypatch.setattr(sys, "stderr", journal)
    assert process.run("name", command) == 2
    assert lines(journal) == ["<3>name: one", "<3>name: two"]


def test_only_the_file_in_the_environment_is_the_journal(journal, tmp_path, monkeypatch):
    with (tmp_path / "other").open("w") as other:
        assert not is_journal(other)
    assert not is_journal(io.StringIO())
    assert is_journal(journal)
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not is_journal(journal)
