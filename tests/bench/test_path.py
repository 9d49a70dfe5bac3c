"""The emulated path between two network namespaces, which need root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.generator import target_running
from bench.longpath import LongPath, emulated
from bench.processes import BenchError
from bench.resilience import NAME, Trial, resilience
from bench.samples import Run


def namespaces_can_be_made() -> bool:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists() or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.needs("ip", "cc"),
    pytest.mark.skipif(not namespaces_can_be_made(), reason="network namespaces need root"),
]


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


def test_round_trip_takes_at_least_the_configured_time(program, tmp_path) -> None:
    problems: list[str] = []
    with (
        emulated(LongPath(rtt=100), problems) as hosts,
        target_running(program, hosts, tmp_path) as generator,
    ):
        result = generator.measure("connect", "direct", "-n", 3)
    # One round trip to connect, and one for the byte and its echo.
    assert result.p50 >= 0.2
    assert problems == []


def test_namespaces_are_removed_at_the_end() -> None:
    with emulated(LongPath(rtt=1), []):
        assert f"bench-near-{os.getpid()}" in namespaces()
    assert f"-{os.getpid()}" not in namespaces()


def test_failure_to_make_a_path_is_reported() -> None:
    with emulated(LongPath(rtt=1), []):
        message = r"no path of 1 ms, 0 % loss: .*bench-near-"
        with pytest.raises(BenchError, match=message), emulated(LongPath(rtt=1), []):
            pass


def test_no_request_fails_around_restarts_and_pauses(program, tmp_path, own_commands) -> None:
    run = Run("wan", "make bench-wan", {}, {})
    resilience(Trial(requests=80, restarts=1, pause=0.1), run, program, tmp_path)
    assert run.values(NAME, "resilience_failed") == {0: 0}
    assert run.values(NAME, "resilience_restarts") == {0: 1}


def test_path_sets_congestion_control_or_reports_its_route(program, tmp_path):
    problems: list[str] = []
    with emulated(LongPath(rtt=20, congestion="reno"), problems) as hosts:
        inside = [*hosts.near.prefix, "sysctl", "-n", "net.ipv4.tcp_congestion_control"]
        default = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split()
    if "reno" in allowed:
        assert default == "reno\n"
        assert problems == []
    else:
        assert "overrides what programs set" in problems[0]
