"""Preparation, options, errors and signals of benchmarks, and their metrics."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench import harness, loopback, wan
from bench.competitors import DIRECT, MICROSOCKS, OTHERS, Competitor
from bench.generator import Measurement
from bench.harness import begin, finish, run_to_exit
from bench.install import install_programs
from bench.longpath import LongPath
from bench.loopback import CELLS, QUICK_PLAN, Loopback, main
from bench.processes import BenchError
from bench.resilience import Trial
from bench.samples import Run


def a_run() -> Run:
    return Run("loopback", "make bench", {}, {})


@pytest.fixture
def environments(monkeypatch) -> list[str]:
    """The environments that would be installed; nothing is."""
    names: list[str] = []
    monkeypatch.setattr(harness, "install_programs", lambda _: [])
    monkeypatch.setattr(harness, "install_environment", names.append)
    return names


def test_unavailable_row_is_skipped_and_reported(monkeypatch, capsys) -> None:
    def install(name: str) -> None:
        if name == "pproxy":
            raise BenchError("the environment for pproxy cannot be made")

    monkeypatch.setattr(harness, "install_programs", lambda _: ["danted", "ssh", "sshd"])
    monkeypatch.setattr(harness, "install_environment", install)
    run, competitors = begin("loopback", "make bench", OTHERS)
    no_ssh = "; ".join(
        f"{program} is not installed: apt install openssh-{part}"
        for program, part in (("ssh", "client"), ("sshd", "server"))
    )
    message = [
        "dante is left out: danted is not installed: apt install dante-server",
        "pproxy is left out: the environment for pproxy cannot be made",
        f"ssh -D is left out: {no_ssh}",
        "pproxy, two of them is left out: the environment for pproxy cannot be made",
    ]
    assert run.problems == message
    assert capsys.readouterr().err == "".join(f"{line}\n" for line in message)
    assert list(run.competitors) == [competitor.name for competitor in competitors]
    assert {"dante", "pproxy", "pproxy, two of them", "ssh -D"}.isdisjoint(run.competitors)
    assert {"direct", "microsocks", "ss-local + ss-server"} <= run.competitors.keys()
    assert {"danted", "pproxy"}.isdisjoint(run.versions)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (OTHERS, ["pproxy"]),
        ((DIRECT, MICROSOCKS), []),
        (QUICK_PLAN.competitors, ["asyncio", "uvloop"]),
        (wan.COMPETITORS, ["uvloop"]),
    ],
)
def test_only_packages_of_the_rows_are_installed(rows, wanted, environments) -> None:
    run = begin("wan", "make bench-wan", rows)[0]
    assert environments == wanted
    assert ("pproxy" in run.versions) == ("pproxy" in wanted)


def test_machine_load_is_read_before_installations(monkeypatch, environments) -> None:
    calls: list[str] = []
    monkeypatch.setattr(harness, "machine", lambda: calls.append("machine") or {})
    monkeypatch.setattr(harness, "install_programs", lambda _: calls.append("install") or [])
    begin("wan", "make bench-wan", [DIRECT])
    assert calls == ["machine", "install"]


@pytest.mark.parametrize(
    ("typed", "command", "file"),
    [
        ("", "make bench", "bench.json"),
        ("--quick", 'make bench ARGS="--quick"', "bench-quick.json"),
        ("--rounds 2", 'make bench ARGS="--rounds 2"', "bench-rounds-2.json"),
        (
            "--competitor 'ssh -D' --output {here} --competitor direct --quick",
            "make bench ARGS=\"--competitor 'ssh -D' --competitor direct --quick\"",
            "{here}",
        ),
    ],
)
def test_run_records_its_command_in_its_own_file(
    typed, command, file, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    here, calls = tmp_path / "here.json", []
    monkeypatch.setattr(loopback, "measure", lambda *it: calls.append(it) or a_run())
    monkeypatch.setattr(sys, "argv", ["bench", *shlex.split(typed.format(here=here))])
    assert loopback.main() == 0
    assert calls[0][1:] == (command, tmp_path / file.format(here=here))


@pytest.mark.parametrize(
    ("typed", "name", "parts"),
    [
        ("", "bench-wan", wan.PARTS),
        ("--only first", "bench-wan-only-first", ["first"]),
        ("--only first --only page", "bench-wan-only-first-only-page", ["first", "page"]),
        ("--quick --pause 0.5", "bench-wan-quick-pause-0.5", wan.PARTS),
    ],
)
def test_part_of_the_long_benchmark_has_its_own_file(typed, name, parts, monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(wan, "measure", lambda *it: calls.append(it[2:]) or a_run())
    assert wan.main(typed.split()) == 0
    assert calls == [(harness.RESULTS / f"{name}.json", parts)]


def test_report_command_is_named_only_if_it_uses_the_file(capsys, tmp_path) -> None:
    for file, is_named in ((harness.FILES["loopback"], True), (tmp_path / "bench.json", False)):
        finish(a_run(), file)
        message = capsys.readouterr().err
        assert message.startswith(f"written to {file}")
        assert ("make bench-report" in message) is is_named


def test_ordinary_user_installs_nothing(monkeypatch) -> None:
    monkeypatch.setattr("bench.install.find", {"cc": "/usr/bin/cc"}.get)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install_programs(["cc", "microsocks"]) == ["microsocks"]


def test_failure_is_printed_as_a_line(capsys) -> None:
    def work() -> None:
        raise BenchError("no path")

    assert run_to_exit(work) == 1
    assert capsys.readouterr().err == "bench: no path\n"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_the_benchmark_cleanly(signal_number, capsys) -> None:
    ended = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal_number)
        finally:
            ended.append(signal_number)

    before = signal.getsignal(signal_number)
    assert run_to_exit(work) == 130
    assert ended == [signal_number]
    assert signal.getsignal(signal_number) == before
    assert capsys.readouterr().err == "bench: interrupted; finished rounds are kept\n"


def test_unknown_row_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--competitor", "unknown"])
    assert "invalid choice: 'unknown'" in capsys.readouterr().err


@pytest.mark.needs("cc", "microsocks")
def test_round_measures_all_figures_of_all_competitors(generator, tmp_path) -> None:
    def start(*_: object) -> str:
        raise BenchError("does not start")

    run, broken = a_run(), Competitor("broken", 1, start)
    plan = replace(
        QUICK_PLAN, competitors=(broken, DIRECT, MICROSOCKS), seconds=0.1, idle=20, many=0
    )
    benchmark = Loopback(plan, run, generator, tmp_path)
    benchmark.round(3)
    benchmark.idle_round(0)
    assert run.problems == ["broken: does not start"] * 2
    metrics = {
        competitor: {figure.metric for figure in run.figures if figure.competitor == competitor}
        for competitor in ("direct", "microsocks", "broken")
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


def test_failed_idle_tunnels_are_reported(monkeypatch, tmp_path) -> None:
    class FullGenerator:
        measure = staticmethod(lambda *_: None)

        @contextlib.contextmanager
        def holding(self, _route: str, _count: int) -> Iterator[Measurement]:
            yield Measurement(samples=70, errors=30, seconds=1.0)

    run, one = a_run(), Competitor("one", 1, lambda *_: "direct", is_netjumper=True)
    plan = replace(QUICK_PLAN, competitors=(DIRECT, one), many=100)
    Loopback(plan, run, FullGenerator(), tmp_path).many()
    assert run.values("one", "many_held") == {0: 70}
    assert run.problems == ["one: 30 of 100 idle tunnels failed"]


def test_too_few_descriptors_are_reported(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(loopback, "begin", lambda *_: (a_run(), []))
    monkeypatch.setattr(loopback, "raise_descriptor_limit", lambda: 1200)
    monkeypatch.setattr(loopback, "build", lambda _: tmp_path / "load")
    monkeypatch.setattr(loopback, "target_running", lambda *_: contextlib.nullcontext())
    for idle, many, message in ((500, 501, 501), (501, 0, 501), (500, 500, 0)):
        plan = replace(QUICK_PLAN, competitors=(), idle=idle, many=many)
        run = loopback.measure(plan, "make bench", tmp_path / "bench.json")
        line = f"descriptors are for 500 idle tunnels only, not {message}"
        assert run.problems == [line] * bool(message)


def test_costs_are_per_connection_and_per_gigabyte() -> None:
    cells = {cell.name: cell for cell in CELLS}
    result = Measurement(samples=1000, errors=0, seconds=2.0)
    assert cells["connect"].metrics(result, 0.5) == {"connect_per_s": 500, "connect_cpu_us": 500}
    result = Measurement(samples=0, errors=0, seconds=4.0, size=2_000_000_000)
    assert cells["up_8"].metrics(result, 1.0) == {"up_8_gbit_s": 4.0, "up_8_cpu_s_per_gb": 0.5}


def test_path_describes_itself() -> None:
    path = LongPath(200, 1, 100, "bbr")
    assert str(path) == "200 ms, 1 % loss, 100 Mbit/s, bbr"
    words = "--rtt 200 --loss 1 --rate 100 --congestion bbr --buffers 16"
    assert path.arguments() == words.split()
    assert LongPath(20, forget=15.0).arguments()[-2:] == ["--forget", "15.0"]


def test_downloads_use_available_congestion_controls(monkeypatch, tmp_path) -> None:
    available = tmp_path / "available"
    monkeypatch.setattr(wan, "_CONGESTION", available)
    problems: list[str] = []
    available.write_text("reno bbr cubic\n")
    assert [path.congestion for path in wan.bulk_paths(problems)] == ["cubic", "bbr"]
    assert problems == []
    available.write_text("reno cubic\n")
    assert [path.congestion for path in wan.bulk_paths(problems)] == ["cubic"]
    path = "200 ms, 1 % loss, 100 Mbit/s, bbr"
    assert problems == [f"{path} is left out: the kernel lacks it (modprobe tcp_bbr)"]


def test_long_path_needs_root(monkeypatch, capsys) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert wan.main([]) == 1
    assert capsys.readouterr().err == "bench: an emulated path needs root and /dev/net/tun\n"


def test_restarts_and_pauses_alternate() -> None:
    assert list(Trial(100, 2, 60.0).steps()) == ["pause", "restart", "pause", "restart"]
