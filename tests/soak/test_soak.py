"""Small ones of `make soak` and `make load`, and what each calls wrong."""

import sys

import pytest

from soak import __main__ as main
from soak import load
from soak.plan import Course, Plan
from soak.record import Record
from soak.reporting import Failure
from soak.topology import Footprint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MIB = 1 << 20


def test_a_short_soak_with_a_restart_finds_nothing_wrong(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(main, "LOGS", tmp_path)
    monkeypatch.setattr(main, "QUIET", 1.0)
    record = main.run(6.0, concurrency=4, max_bytes=200_000, restart_interval=2.0)
    assert record.wrong == []
    assert record.counts["restarts"] >= 1
    assert all(record.counts[it.name.lower()] for it in (Course.ANSWER, Course.TOGETHER))
    assert "bridge, TLS" in capsys.readouterr().out


def test_a_few_hundred_connections_that_fail_leave_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(load, "LOGS", tmp_path)
    monkeypatch.setattr(load, "REST", 2.5)
    monkeypatch.setattr(load, "TOLERANCE", 0.2)  # so few are no warm-up
    assert load.failing(420, 3) == []
    assert "420 connections that fail" in capsys.readouterr().out


def test_a_limit_serves_exactly_so_many_of_a_rush(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(load, "LOGS", tmp_path)
    assert load.capped(25) == []
    assert capsys.readouterr().out == "a rush of 100 at a limit of 25: 25 served, 75 refused\n"


def test_contents_are_the_same_however_they_are_cut():
    plan = Plan(course=Course.ANSWER, seed=1, up=3_000_000, down=0, piece=99_991, stalls=0.0)
    data = b"".join(piece for piece, _ in plan.pieces("up", plan.up))
    assert len(data) == plan.up
    assert Plan.parse(plan.line()) == plan
    whole = Plan(course=Course.ANSWER, seed=1, up=plan.up, down=0, piece=3_000_000, stalls=0.0)
    assert b"".join(piece for piece, _ in whole.pieces("up", plan.up)) == data
    assert plan.digest("up", plan.up) != plan.digest("up", plan.up - 1)


@pytest.mark.parametrize(
    ("wrong", "since", "until", "ordered"),
    [
        pytest.param(False, 9.0, 11.0, True, id="met the restart"),
        pytest.param(False, 13.0, 14.0, True, id="right behind it"),
        pytest.param(False, 15.0, 16.0, False, id="long after it"),
        pytest.param(False, 8.0, 9.0, False, id="before it"),
        pytest.param(True, 9.0, 11.0, False, id="a clean end is never in order"),
    ],
)
def test_only_failures_of_a_restart_are_in_order(wrong, since, until, ordered):
    record = Record(restarts=[(10.0, 12.0)])
    message = record.judge(Failure(what="it", wrong=wrong, since=since, until=until))
    assert (record.ordered == 1, message, bool(record.wrong)) == (ordered, not ordered, not ordered)


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
