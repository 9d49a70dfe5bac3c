"""Every peer is started as the benchmark starts it, carries a few connections, and is gone."""

from pathlib import Path

import pytest

from bench import netjumper_modes
from bench.competitors import DIRECT, MICROSOCKS, OTHERS, Competitor
from bench.install import ENVIRONMENTS, PACKAGES
from bench.loopback import FULL_PLAN
from bench.netjumper_modes import WAN_MODES, Mode
from bench.processes import BenchError, Hosts, Processes
from bench.wan import PEERS

needs_cc = pytest.mark.needs("cc")


def carries(peer: Competitor, generator, logs: Path) -> None:
    """Have a peer carry connections and bulk data."""
    with Processes(logs, peer.name) as runner:
        way = peer.start(runner, Hosts())
        assert len(runner.processes) == peer.hops
        assert generator.measure("connect", way, "-c", 2, "-n", 6).errors == 0
        assert generator.measure("down", way, "-t", 0.1).size > 100_000


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(peer, marks=pytest.mark.needs("cc", *peer.programs), id=peer.name)
        for peer in OTHERS
        if not peer.environment  # those would be fetched from PyPI
    ],
)
def test_a_peer_carries_connections(peer, generator, tmp_path) -> None:
    carries(peer, generator, tmp_path)


@needs_cc
@pytest.mark.parametrize(
    "peer",
    [
        netjumper_modes.one_hop("uvloop"),
        netjumper_modes.chain("uvloop", Mode()),
        *(netjumper_modes.chain("uvloop", mode) for mode in WAN_MODES),
    ],
    ids=lambda peer: peer.name,
)
def test_ours_carry_connections(peer, generator, tmp_path, own_commands) -> None:
    carries(peer, generator, tmp_path)


@needs_cc
def test_refused_option_is_reported(tmp_path, own_commands) -> None:
    peer = netjumper_modes.chain("uvloop", Mode("wrong", ("--max-parked", "many")))
    with (
        Processes(tmp_path, peer.name) as runner,
        pytest.raises(BenchError, match=r"netjumper-bridge ended with 2: .*--max-parked"),
    ):
        peer.start(runner, Hosts())


def test_missing_program_is_reported(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bench.competitors.find", lambda _: None)
    with (
        Processes(tmp_path, "it") as runner,
        pytest.raises(BenchError, match="microsocks is not installed: apt install microsocks"),
    ):
        MICROSOCKS.start(runner, Hosts())


@pytest.mark.parametrize("competitors", [FULL_PLAN.competitors, PEERS])
def test_rows_have_names_of_their_own_and_are_known_to_the_installer(competitors) -> None:
    assert len({peer.name for peer in competitors}) == len(competitors)
    assert {program for peer in competitors for program in peer.programs} <= PACKAGES.keys()
    assert {peer.environment for peer in competitors} - {""} <= ENVIRONMENTS.keys()
    assert DIRECT in competitors
