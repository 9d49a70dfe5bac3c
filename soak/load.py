"""`make load`: connections that fail in every way, a rush, and bulk beside small messages."""

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
from soak.rush import rush
from soak.topology import SECRET, Footprint, Topology, running_topology

LOGS = Path(".soak")
TOLERANCE = 0.02
"""How much more of anything there may be afterwards than after the warm-up."""
TIMES = 3.0
"""How much longer a tunnel of bulk may make small messages take."""
REST = 5.0
"""Seconds after which a server that is left alone has let go of everything."""
INTERACTIVE = 100
"""Connections with small messages."""


def failing(count: int, ban_after: int) -> list[str]:
    """Make failing connections to the server, and check that nothing of them is left.

    Args:
        count: how many, after as many for a warm-up: the heap gets its size within 100,000.
        ban_after: failed authentications after which a source is banned; 0 for never.

    Returns:
        What is wrong.
    """
    limits = (f"--max-auth-failures={ban_after}", "--ban-time=1", "--handshake-timeout=1")
    with running_topology(LOGS, *limits, bridges=False) as network:
        asyncio.run(fail(network.ports, count))
        before = _rested(network)
        began = time.monotonic()
        met = asyncio.run(fail(network.ports, count))
        seconds = time.monotonic() - began
        after = _rested(network)
    print_line(
        f"{count} connections that fail in {len(FAILURES)} ways, "
        f"banning {f'after {ban_after} failed authentications' if ban_after else 'no source'}: "
        f"{seconds:.0f} s, {met} were not even accepted; before {before}, after {after}"
    )
    wrong = [
        f"{now - then} {what} are left"
        for what, then, now in [
            ("descriptors", before.descriptors, after.descriptors),
            ("threads", before.threads, after.threads),
        ]
        if now > then
    ]
    if after.resident > before.resident * (1 + TOLERANCE):
        wrong.append(f"memory went from {before} to {after}")
    return wrong


def capped(cap: int) -> list[str]:
    """Request four times as many tunnels as are allowed; return what is wrong."""
    limits = (f"--max-tunnels={cap}", "--max-unauthenticated=0")
    with running_topology(LOGS, *limits, bridges=False) as network:
        served, refused = asyncio.run(rush(network.ports["clear"], SECRET.encode(), 4 * cap))
    print_line(f"a rush of {4 * cap} at a limit of {cap}: {served} served, {refused} refused")
    return [] if (served, refused) == (cap, 3 * cap) else ["the limit was not kept"]


def beside_bulk(seconds: float, *options: str, least: float = 0.0) -> list[str]:
    """Send small messages alone, and beside 1 and 10 tunnels of bulk; return what is wrong.

    Args:
        seconds: of each.
        options: the jump server's.
        least: bytes per second that bulk has to come to.
    """
    wrong = []
    with running_topology(LOGS, *options) as network, ThreadPoolExecutor(1) as threads:
        program = build(Path(".bench"))
        way = f"socks5:127.0.0.1:{network.ports['bridge, clear socks']}"
        small = ("pingpong", way, "-c", INTERACTIVE, "-t", seconds)
        with target_running(program, Hosts(), LOGS) as generator:
            alone = generator.measure(*small).p99
            for count in (1, 10):
                bulk = threads.submit(
                    generator.measure, "down", way, "-c", count, "-t", seconds + 1.0
                )
                time.sleep(0.5)
                beside = generator.measure(*small).p99
                moved = bulk.result()
                print_line(
                    f"{INTERACTIVE} tunnels with small messages, {' '.join(options) or 'no limit'}:"
                    f" p99 {alone * 1e3:.1f} ms, beside {count} of bulk {beside * 1e3:.1f} ms,"
                    f" {beside / alone:.2f} times ({moved.size / moved.seconds / 1e6:.0f} MB/s)"
                )
                if moved.size / moved.seconds < least:
                    wrong.append(f"{count} of bulk moved {moved.size / moved.seconds:.0f} bytes/s")
                if count == 1 and beside > TIMES * alone:
                    wrong.append(f"beside bulk they take {beside / alone:.1f} times as long")
    return wrong


def _rested(network: Topology) -> Footprint:
    """Return the server's resources once it has no connection."""
    pid = network.processes["server"].pid
    until = time.monotonic() + REST
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
    """Do all of it, and return the exit status: 1 where anything was wrong."""
    parser = argparse.ArgumentParser("make load", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="connections that fail")
    parser.add_argument("--cap", type=int, default=1_000, help="tunnels at a time, for the rush")
    parser.add_argument("--seconds", type=float, default=5.0, help="of small messages")
    options = parser.parse_args(arguments)
    raise_descriptor_limit()
    try:
        wrong = [
            *failing(options.count, 0),
            *failing(options.count, 3),
            *capped(options.cap),
            *beside_bulk(options.seconds),
            *beside_bulk(options.seconds, "--bandwidth=800", least=90e6),
        ]
    except (BenchError, KeyboardInterrupt) as error:
        print_line(f"load: {error}" if isinstance(error, BenchError) else "load: interrupted")
        return 1
    for it in wrong:
        print_line(f"wrong: {it}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
