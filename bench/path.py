"""`python -m bench.path`: emulate a long path between two network namespaces, in user space.

For kernels without netem. It needs root, /dev/net/tun and iproute2. It changes nothing outside the
two namespaces, and no packet can leave them. It prints `ready` when the path exists. SIGTERM makes
it print its counters as JSON, remove the namespaces and exit.
"""

import argparse
import ctypes
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Self

from bench.emulation import Direction, Firewall

NEAR, FAR = "198.18.0.1", "198.18.0.2"
"""The addresses of the ends, of the range that RFC 2544 reserves for benchmarks."""

_INTERFACE = "path0"
_BATCH = 64  # packets read from one end before the other gets its turn
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI, _IFF_NAPI = 0x0001, 0x1000, 0x0010


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.path", description=__doc__)
    parser.add_argument("near", help="name of the network namespace to make for the near end")
    parser.add_argument("far", help="name of the network namespace to make for the far end")
    parser.add_argument("--rtt", type=float, default=0.0, help="round-trip time in ms")
    parser.add_argument(
        "--loss", type=float, default=0.0, help="lost packets in per cent, in each direction"
    )
    parser.add_argument("--rate", type=float, default=0.0, help="Mbit/s; 0 is no limit")
    parser.add_argument("--congestion", help="TCP's congestion control at both ends")
    parser.add_argument("--buffers", type=float, help="maximum TCP buffers in MiB, at both ends")
    parser.add_argument(
        "--forget", type=float, help="seconds until a firewall forgets idle connections"
    )
    return parser.parse_args(arguments)


class Ends:
    """Two namespaces with an interface each; a `with` block makes and removes them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._namespaces: list[str] = []
        self.interfaces: list[int] = []
        self.route_overrides_programs = False

    def __enter__(self) -> Self:
        try:
            for name, address in ((self._options.near, NEAR), (self._options.far, FAR)):
                _ip("netns", "add", name)
                self._namespaces.append(name)
                self.interfaces.append(_open_interface(name))
                self._configure(name, address)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for interface in self.interfaces:
            os.close(interface)
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def _configure(self, name: str, address: str) -> None:
        inside = ("-n", name)
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "link", "set", _INTERFACE, "txqueuelen", "10000", "addrgenmode", "none")
        _ip(*inside, "link", "set", _INTERFACE, "up")
        _ip(*inside, "address", "add", f"{address}/32", "dev", _INTERFACE)
        _ip(*inside, "route", "add", "default", "dev", _INTERFACE)
        if self._options.congestion:
            self._set_congestion_control(name)
        if self._options.buffers:
            max_bytes = int(self._options.buffers * 2**20)
            for setting in (
                f"tcp_rmem=4096 131072 {max_bytes}",
                f"tcp_wmem=4096 65536 {max_bytes}",
            ):
                _ip("netns", "exec", name, "sysctl", "-qw", f"net.ipv4.{setting}")

    def _set_congestion_control(self, name: str) -> None:
        """Make `--congestion` the default in a namespace.

        The sysctl accepts only algorithms that all processes are allowed to use. A route accepts
        any algorithm, but it overrides the choice of programs as well.
        """
        algorithm = self._options.congestion
        setting = f"net.ipv4.tcp_congestion_control={algorithm}"
        sysctl = ["ip", "netns", "exec", name, "sysctl", "-qw", setting]
        if subprocess.run(sysctl, check=False, capture_output=True).returncode:
            route = ("default", "dev", _INTERFACE, "congctl", algorithm)
            _ip("-n", name, "route", "replace", *route)
            self.route_overrides_programs = True

    def overruns(self) -> int:
        """Return how many packets the kernel dropped because they were not read in time."""
        return sum(map(_overruns, self._namespaces))


def carry(
    ends: Ends, directions: Sequence[Direction], firewall: Firewall | None, wake: int
) -> None:
    """Carry packets between the ends until something can be read from the descriptor `wake`."""
    near, far = ends.interfaces
    links = ((near, far, directions[0]), (far, near, directions[1]))
    while True:
        now = time.monotonic()
        for _, sink, direction in links:
            for packet in direction.due(now):
                _write(sink, packet, direction)
        waits = [wait for link in links if (wait := link[2].wait(now)) is not None]
        readable = select.select([near, far, wake], [], [], min(waits) if waits else None)[0]
        if wake in readable:
            return
        now = time.monotonic()
        for source, _, direction in links:
            if source in readable:
                _read(source, direction, firewall, now)


def _write(sink: int, packet: bytes, direction: Direction) -> None:
    try:
        os.write(sink, packet)
    except OSError:  # the kernel is out of memory: a lost packet
        direction.dropped += 1


def _read(source: int, direction: Direction, firewall: Firewall | None, now: float) -> None:
    for _ in range(_BATCH):
        try:
            packet = os.read(source, 65536)
        except BlockingIOError:
            return
        if firewall is None or firewall.passes(packet, now):
            direction.take(packet, now)


def _open_interface(namespace: str) -> int:
    """Make a TUN interface inside a namespace and return its descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    original = os.open("/proc/self/ns/net", os.O_RDONLY)
    entered = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(entered, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = _IFF_TUN | _IFF_NO_PI | _IFF_NAPI
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", _INTERFACE.encode(), flags))
        return descriptor
    finally:
        libc.setns(original, _CLONE_NEWNET)
        os.close(original)
        os.close(entered)


def _overruns(namespace: str) -> int:
    command = ["ip", "-n", namespace, "-s", "-j", "link", "show", _INTERFACE]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return int(json.loads(output)[0]["stats64"]["tx"]["dropped"])


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry packets until a signal arrives, and return the exit status."""
    options = parse(arguments)
    wake, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end)
    for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: None)
    rate, rtt = options.rate * 1e6, options.rtt / 1e3
    queue = max(65536.0, rate / 8 * rtt)
    directions = [
        Direction(delay=rtt / 2, loss=options.loss, rate=rate, queue=queue) for _ in range(2)
    ]
    firewall = None if options.forget is None else Firewall(options.forget)
    try:
        with Ends(options) as ends:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            carry(ends, directions, firewall, wake)
            counters = {
                "delivered": sum(direction.delivered for direction in directions),
                "lost": sum(direction.lost for direction in directions),
                "dropped": sum(direction.dropped for direction in directions),
                "forgotten": firewall.dropped if firewall else 0,
                "overruns": ends.overruns(),
                "route_overrides_programs": ends.route_overrides_programs,
            }
            sys.stdout.write(json.dumps(counters) + "\n")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"path: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
