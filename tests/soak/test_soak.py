"""Short runs of `make soak` and `make load`, and the errors that they report."""

import sys

import pytest

from soak import __main__ as main
from soak import load
from soak.floods import FLOODS, percentile
from soak.plan import Course, Plan
from soak.record import Record
from soak.reporting import Failure
from soak.topology import Footprint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MIB = 1 << 20


def test_short_soak_with_a_restart_finds_no_errors(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(main, "LOGS", tmp_path)
    monkeypatch.setattr(main, "RELEASE_TIME_S", 1.0)
    record = main.run(6.0, concurrency=4, max_bytes=200_000, restart_interval=2.0)
    assert record.wrong == []
    assert record.counts["restarts"] >= 1
    assert all(record.counts[it.name.lower()] for it in (Course.ANSWER, Course.TOGETHER))
    assert "bridge, TLS" in capsys.readouterr().out


def test_command_runs_with_its_default_options(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(main, "LOGS", tmp_path)
    monkeypatch.setattr(main, "RELEASE_TIME_S", 1.0)
    assert main.main(["--seconds=1"]) == 0
    assert "total: " in capsys.readouterr().out


def test_failed_connections_leave_no_resources(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(load, "LOGS", tmp_path)
    monkeypatch.setattr(load, "RELEASE_TIME_S", 2.5)
    monkeypatch.setattr(load, "MEMORY_TOLERANCE", 0.2)  # so few connections do not warm up the heap
    assert load.failing(420, 3) == []
    assert "420 connections that fail" in capsys.readouterr().out


def test_rush_gets_exactly_the_allowed_number_of_tunnels(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(load, "LOGS", tmp_path)
    assert load.capped(25) == []
    assert capsys.readouterr().out == "a rush of 100 at a limit of 25: 25 served, 75 refused\n"


def test_contents_do_not_depend_on_the_size_of_pieces():
    plan = Plan(course=Course.ANSWER, seed=1, up=3_000_000, down=0, piece=99_991, stalls=0.0)
    data = b"".join(piece for piece, _ in plan.pieces("up", plan.up))
    assert len(data) == plan.up
    assert Plan.parse(plan.line()) == plan
    whole = Plan(course=Course.ANSWER, seed=1, up=plan.up, down=0, piece=3_000_000, stalls=0.0)
    assert b"".join(piece for piece, _ in whole.pieces("up", plan.up)) == data
    assert plan.digest("up", plan.up) != plan.digest("up", plan.up - 1)


@pytest.mark.parametrize(
    ("wrong", "since", "until", "expected"),
    [
        pytest.param(False, 9.0, 11.0, True, id="during the restart"),
        pytest.param(False, 13.0, 14.0, True, id="soon after it"),
        pytest.param(False, 15.0, 16.0, False, id="long after it"),
        pytest.param(False, 8.0, 9.0, False, id="before it"),
        pytest.param(True, 9.0, 11.0, False, id="a clean end is never expected"),
    ],
)
def test_only_failures_of_a_restart_are_expected(wrong, since, until, expected):
    record = Record(restarts=[(10.0, 12.0)])
    is_wrong = record.judge(Failure(what="it", wrong=wrong, since=since, until=until))
    assert is_wrong is not expected
    assert record.expected == (1 if expected else 0)
    assert bool(record.wrong) is not expected


def test_leaked_resources_are_reported():
    record = Record()
    before = {"server": Footprint(40 * MIB, 10, 1)}
    record.compare(before, {"server": Footprint(45 * MIB, 20, 1)})
    assert record.wrong == []
    record.compare(before, {"server": Footprint(90 * MIB, 500, 1)})
    assert record.wrong == [
        "server: from 10 to 500 descriptors",
        "server: from 40.0 to 90.0 MiB",
    ]


def test_short_floods_are_measured_and_judged(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(load, "LOGS", tmp_path)
    monkeypatch.setattr(load, "MAX_P99_S", 0.0)
    wrong = load.beside_floods(0.1)
    lines = capsys.readouterr().out.splitlines()
    assert len(wrong) == len(lines) == len(FLOODS)
    assert wrong[0].startswith("an answer in chunks of one byte delays small messages by ")
    assert all(line.startswith("small messages beside ") for line in lines)


def test_percentile_of_round_trips():
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], 0.5) == 3.0
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], 1.0) == 5.0
