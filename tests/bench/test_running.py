"""Around the measuring: what is missing, what fails, what ends it, and what is made of figures."""

import os
import signal
from dataclasses import replace

import pytest

from bench import running, wan
from bench.figures import Run
from bench.generator import Measured
from bench.installing import install_programs
from bench.longpath import LongPath
from bench.loopback import CELLS, QUICK_PLAN, Loopback, main
from bench.peers import DIRECT, MICROSOCKS, OTHERS, Peer
from bench.resilience import Trial
from bench.running import begin, run_to_exit
from bench.stage import BenchError


def a_run() -> Run:
    return Run("loopback", "make bench", {}, {})


def test_a_row_that_cannot_be_had_is_left_out_and_told(monkeypatch, capsys) -> None:
    def install(name: str) -> None:
        if name == "pproxy":
            raise BenchError("the environment for pproxy cannot be made")

    monkeypatch.setattr(running, "install_programs", lambda _: ["danted"])
    monkeypatch.setattr(running, "install_environment", install)
    run, peers = begin("loopback", "make bench", OTHERS)
    told = [
        "danted is not installed: apt install dante-server",
        "the environment for pproxy cannot be made",
    ]
    assert run.problems == told
    assert capsys.readouterr().err == "".join(f"left out: {line}\n" for line in told)
    assert list(run.peers) == [peer.name for peer in peers]
    assert {"dante", "pproxy", "pproxy, two of them"}.isdisjoint(run.peers)
    assert {"direct", "microsocks", "ssh -D"} <= run.peers.keys()
    assert "danted" not in run.versions


def test_a_row_without_its_option_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr(running, "install_programs", lambda _: [])
    monkeypatch.setattr(running, "install_environment", lambda _: None)
    monkeypatch.setattr(running.ours, "knows", lambda _, option: option == "--known")
    rows = [replace(DIRECT, name=option, needs=option) for option in ("--known", "--unknown")]
    assert list(begin("wan", "make bench-wan", rows)[0].peers) == ["--known"]


def test_who_is_not_root_installs_nothing(monkeypatch) -> None:
    monkeypatch.setattr("bench.installing.find", {"cc": "/usr/bin/cc"}.get)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install_programs(["cc", "microsocks"]) == ["microsocks"]


def test_a_failure_is_a_line(capsys) -> None:
    def work() -> None:
        raise BenchError("no path")

    assert run_to_exit(work) == 1
    assert capsys.readouterr().err == "bench: no path\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(number, capsys) -> None:
    ended = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            ended.append(number)

    before = signal.getsignal(number)
    assert run_to_exit(work) == 130
    assert ended == [number]
    assert signal.getsignal(number) == before
    assert capsys.readouterr().err == "bench: interrupted; what was finished is kept\n"


def test_a_name_that_is_no_row_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--peer", "nobody"])
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


@pytest.mark.needs("cc", "microsocks")
def test_a_round_has_every_figure_of_every_peer(generator, tmp_path) -> None:
    def start(*_: object) -> str:
        raise BenchError("does not start")

    run, broken = a_run(), Peer("broken", 1, start)
    plan = replace(QUICK_PLAN, peers=(broken, DIRECT, MICROSOCKS), seconds=0.1, idle=20, many=0)
    benchmark = Loopback(plan, run, generator, tmp_path)
    benchmark.round(3)
    benchmark.idle_round(0)
    assert run.problems == ["broken: does not start"] * 2
    metrics = {
        peer: {figure.metric for figure in run.figures if figure.peer == peer}
        for peer in ("direct", "microsocks", "broken")
    }
    assert metrics["broken"] == set()
    assert metrics["direct"] == {
        "connect_per_s", "pingpong_1_p50_us", "pingpong_1_p99_us", "pingpong_50_p50_us",
        "pingpong_50_p99_us", "down_1_gbit_s", "down_8_gbit_s", "up_1_gbit_s", "up_8_gbit_s",
    }  # fmt: skip
    assert metrics["microsocks"] - metrics["direct"] == {
        "connect_cpu_us", "down_1_cpu_s_per_gb", "down_8_cpu_s_per_gb", "up_1_cpu_s_per_gb",
        "up_8_cpu_s_per_gb", "idle_held", "idle_kb", "idle_kb_largest",
    }  # fmt: skip
    assert run.values("microsocks", "idle_held") == {0: 20}
    assert run.values("microsocks", "connect_per_s").keys() == {3}


def test_costs_are_for_a_connection_and_for_a_gigabyte() -> None:
    cells = {cell.name: cell for cell in CELLS}
    found = Measured(samples=1000, errors=0, seconds=2.0)
    assert cells["connect"].metrics(found, 0.5) == {"connect_per_s": 500, "connect_cpu_us": 500}
    found = Measured(samples=0, errors=0, seconds=4.0, size=2_000_000_000)
    assert cells["up_8"].metrics(found, 1.0) == {"up_8_gbit_s": 4.0, "up_8_cpu_s_per_gb": 0.5}


def test_a_path_says_what_it_is_like() -> None:
    path = LongPath(200, 1, 100, "bbr")
    assert str(path) == "200 ms, 1 % loss, 100 Mbit/s, bbr"
    words = "--rtt 200 --loss 1 --rate 100 --congestion bbr --buffers 16"
    assert path.arguments() == words.split()
    assert LongPath(20, forget=15.0).arguments()[-2:] == ["--forget", "15.0"]


def test_downloads_are_measured_with_what_the_kernel_has(monkeypatch, tmp_path) -> None:
    available = tmp_path / "available"
    monkeypatch.setattr(wan, "_CONGESTION", available)
    available.write_text("reno cubic\n")
    assert [path.congestion for path in wan.bulk_paths()] == ["cubic"]
    available.write_text("reno bbr cubic\n")
    assert [path.congestion for path in wan.bulk_paths()] == ["cubic", "bbr"]


def test_a_long_path_needs_root(monkeypatch, capsys) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert wan.main([]) == 1
    assert capsys.readouterr().err == "bench: an emulated path needs root and /dev/net/tun\n"


def test_restarts_and_pauses_take_turns() -> None:
    assert list(Trial(100, 2, 60.0).steps()) == ["pause", "restart", "pause", "restart"]
