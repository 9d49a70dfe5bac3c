"""Each competitor starts as in the benchmark, and relays connections and bulk data."""

from pathlib import Path

import pytest

from bench import netjumper_modes
from bench.competitors import DIRECT, MICROSOCKS, OTHERS, Competitor
from bench.install import ENVIRONMENTS, PACKAGES
from bench.loopback import FULL_PLAN
from bench.netjumper_modes import WAN_MODES, Mode
from bench.processes import BenchError, Hosts, Processes
from bench.wan import COMPETITORS

needs_cc = pytest.mark.needs("cc")


def check_relaying(competitor: Competitor, generator, logs: Path) -> None:
    """Check that a competitor relays connections and bulk data."""
    with Processes(logs, competitor.name) as processes:
        route = competitor.start(processes, Hosts())
        assert len(processes.pids) == competitor.hops
        assert generator.measure("connect", route, "-c", 2, "-n", 6).errors == 0
        assert generator.measure("down", route, "-t", 0.1).size > 100_000


@pytest.mark.parametrize(
    "competitor",
    [
        pytest.param(
            competitor, marks=pytest.mark.needs("cc", *competitor.programs), id=competitor.name
        )
        for competitor in OTHERS
        if not competitor.environment  # these are installed from PyPI
    ],
)
def test_competitor_relays_connections(competitor, generator, tmp_path) -> None:
    check_relaying(competitor, generator, tmp_path)


@needs_cc
@pytest.mark.parametrize(
    "competitor",
    [
        netjumper_modes.one_hop("uvloop"),
        netjumper_modes.chain("uvloop", Mode()),
        *(netjumper_modes.chain("uvloop", mode) for mode in WAN_MODES),
    ],
    ids=lambda competitor: competitor.name,
)
def test_netjumper_modes_relay_connections(competitor, generator, tmp_path, own_commands) -> None:
    check_relaying(competitor, generator, tmp_path)


@needs_cc
def test_refused_option_is_reported(tmp_path, own_commands) -> None:
    competitor = netjumper_modes.chain("uvloop", Mode("wrong", ("--max-parked", "many")))
    with (
        Processes(tmp_path, competitor.name) as processes,
        pytest.raises(BenchError, match=r"netjumper-bridge exited with status 2: .*--max-parked"),
    ):
        competitor.start(processes, Hosts())


def test_missing_program_is_reported(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bench.competitors.find", lambda _: None)
    with (
        Processes(tmp_path, "it") as processes,
        pytest.raises(BenchError, match="microsocks is not installed: apt install microsocks"),
    ):
        MICROSOCKS.start(processes, Hosts())


@pytest.mark.parametrize("competitors", [FULL_PLAN.competitors, COMPETITORS])
def test_rows_have_unique_names_and_can_be_installed(competitors) -> None:
    assert len({competitor.name for competitor in competitors}) == len(competitors)
    assert {
        program for competitor in competitors for program in competitor.programs
    } <= PACKAGES.keys()
    assert {competitor.environment for competitor in competitors} - {""} <= ENVIRONMENTS.keys()
    assert DIRECT in competitors
