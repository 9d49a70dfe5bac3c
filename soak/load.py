"""`make load`: failing connections, a rush of tunnels; small messages beside bulk and floods."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.generator import build, target_running
from bench.processes import BenchError, Hosts, raise_descriptor_limit
from soak.failures import FAILURES, fail
from soak.floods import (
    FLOODS,
    PASSWORD,
    USER,
    Ports,
    flooding,
    percentile,
    requests_without_password,
    round_trips,
)
from soak.rush import rush
from soak.topology import SECRET, Footprint, Topology, running_topology

LOGS = Path(".soak")
MEMORY_TOLERANCE = 0.02
"""Fraction by which memory may grow after the warm-up."""
MAX_SLOWDOWN = 3.0
"""Factor by which one tunnel with bulk data may slow down small messages."""
RELEASE_TIME_S = 5.0
"""Time in which a server without connections releases their resources."""
MAX_P99_S = 0.02
"""Round trip of small messages that 99 % are below while a peer floods."""
FLOOD_START_S = 0.5
"""Time in which a flood begins."""
INTERACTIVE_TUNNELS = 100
"""Tunnels with small messages."""


def failing(count: int, ban_after: int) -> list[str]:
    """Make failing connections to the server and check that it releases their resources.

    Args:
        count: connections, after as many for a warm-up; the heap stops growing within 100,000.
        ban_after: failed authentications after which a source is banned; 0 for never.

    Returns:
        The errors, for people.
    """
    limits = (f"--max-auth-failures={ban_after}", "--ban-time=1", "--handshake-timeout=1")
    with running_topology(LOGS, *limits, bridges=False) as topology:
        asyncio.run(fail(topology.ports, count))
        before = _idle_footprint(topology)
        began = time.monotonic()
        not_accepted = asyncio.run(fail(topology.ports, count))
        seconds = time.monotonic() - began
        after = _idle_footprint(topology)
    print_line(
        f"{count} connections that fail in {len(FAILURES)} ways, "
        f"banning {f'after {ban_after} failed authentications' if ban_after else 'no source'}: "
        f"{seconds:.0f} s, {not_accepted} not accepted; before {before}, after {after}"
    )
    wrong = [
        f"{now - then} {what} are left"
        for what, then, now in [
            ("descriptors", before.descriptors, after.descriptors),
            ("threads", before.threads, after.threads),
        ]
        if now > then
    ]
    if after.resident > before.resident * (1 + MEMORY_TOLERANCE):
        wrong.append(f"memory went from {before} to {after}")
    return wrong


def capped(cap: int) -> list[str]:
    """Request four times as many tunnels as are allowed, and return the errors."""
    limits = (f"--max-tunnels={cap}", "--max-unauthenticated=0")
    with running_topology(LOGS, *limits, bridges=False) as topology:
        served, refused = asyncio.run(rush(topology.ports["clear"], SECRET.encode(), 4 * cap))
    print_line(f"a rush of {4 * cap} at a limit of {cap}: {served} served, {refused} refused")
    return [] if (served, refused) == (cap, 3 * cap) else ["the limit was not enforced"]


def beside_bulk(seconds: float, *options: str, least: float = 0.0) -> list[str]:
    """Send small messages alone and beside 1 and 10 tunnels with bulk data; return the errors.

    Args:
        seconds: duration of each measurement.
        options: of the jump server.
        least: minimum rate of the bulk data, in bytes per second.
    """
    wrong = []
    with running_topology(LOGS, *options) as topology, ThreadPoolExecutor(1) as threads:
        program = build(Path(".bench"))
        route = f"socks5:127.0.0.1:{topology.ports['bridge, clear socks']}"
        small = ("pingpong", route, "-c", INTERACTIVE_TUNNELS, "-t", seconds)
        with target_running(program, Hosts(), LOGS) as generator:
            alone = generator.measure(*small).p99
            for count in (1, 10):
                bulk = threads.submit(
                    generator.measure, "down", route, "-c", count, "-t", seconds + 1.0
                )
                time.sleep(0.5)
                beside = generator.measure(*small).p99
                moved = bulk.result()
                rate = moved.size / moved.seconds
                print_line(
                    f"{INTERACTIVE_TUNNELS} tunnels with small messages, "
                    f"{' '.join(options) or 'no limit'}: p99 {alone * 1e3:.1f} ms alone, "
                    f"{beside * 1e3:.1f} ms ({beside / alone:.2f} times as long) beside {count} "
                    f"with bulk data at {rate / 1e6:.0f} MB/s"
                )
                if rate < least:
                    wrong.append(f"{count} bulk tunnels moved {rate:.0f} bytes/s")
                if count == 1 and beside > MAX_SLOWDOWN * alone:
                    wrong.append(
                        f"small messages take {beside / alone:.1f} times as long beside bulk data"
                    )
    return wrong


def beside_floods(seconds: float) -> list[str]:
    """Send small messages beside each flood, and return the errors.

    Args:
        seconds: duration of each measurement.
    """
    wrong = []
    with running_topology(LOGS, bridges=False) as topology:
        password = f"--auth={USER.decode()}:{PASSWORD.decode()}"
        ports = Ports(
            bridge=topology.start_bridge("bridge"),
            guarded=topology.start_bridge("guarded bridge", password),
            tls=topology.ports["tls"],
        )
        for name, flood in FLOODS.items():
            bridge = ports.guarded if flood is requests_without_password else ports.bridge
            alone = percentile(round_trips(bridge, seconds), 0.99)
            with flooding(flood, ports):
                time.sleep(FLOOD_START_S)
                times = round_trips(bridge, seconds)
            beside, worst = percentile(times, 0.99), max(times)
            print_line(
                f"small messages beside {name}: p99 {beside * 1e3:.1f} ms, worst "
                f"{worst * 1e3:.1f} ms (p99 {alone * 1e3:.1f} ms alone)"
            )
            if beside > MAX_P99_S:
                wrong.append(f"{name} delays small messages by {beside * 1e3:.0f} ms")
    return wrong


def _idle_footprint(topology: Topology) -> Footprint:
    """Return the server's resources after it has released those of its connections."""
    pid = topology.processes["server"].pid
    until = time.monotonic() + RELEASE_TIME_S
    least = Footprint.of(pid)
    while time.monotonic() < until:
        time.sleep(0.1)
        least = min(least, Footprint.of(pid), key=lambda it: it.descriptors)
    return Footprint(Footprint.of(pid).resident, least.descriptors, least.threads)


def print_line(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all load tests and return the exit status: 1 if anything was wrong."""
    parser = argparse.ArgumentParser("make load", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="failing connections")
    parser.add_argument("--cap", type=int, default=1_000, help="limit of tunnels for the rush")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="duration of each measurement of small messages"
    )
    options = parser.parse_args(arguments)
    raise_descriptor_limit()
    try:
        wrong = [
            *failing(options.count, 0),
            *failing(options.count, 3),
            *capped(options.cap),
            *beside_bulk(options.seconds),
            *beside_bulk(options.seconds, "--bandwidth=800", least=90e6),
            *beside_floods(options.seconds),
        ]
    except (BenchError, KeyboardInterrupt) as error:
        print_line(f"load: {error}" if isinstance(error, BenchError) else "load: interrupted")
        return 1
    for it in wrong:
        print_line(f"wrong: {it}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
