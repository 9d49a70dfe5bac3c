"""Processor time and memory of processes, from Linux's `/proc`."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """Fields of `/proc/PID/stat`; see proc(5).

    Args:
        parent: process ID of the parent.
        ticks: processor time of the process and of its children that it has waited for.
    """

    parent: int
    ticks: int

    @classmethod
    def parse(cls, text: str) -> "Stat":
        """Parse the line; its second field, the command, can contain spaces and brackets."""
        fields = text.rpartition(")")[2].split()
        return cls(parent=int(fields[1]), ticks=sum(map(int, fields[11:15])))


def processor_seconds(roots: Iterable[int]) -> float:
    """Return the processor time of processes and their descendants, including exited ones.

    A process that exits hands its time to the parent that waits for it, so the sum never shrinks.
    The time is lost if the parent ignores SIGCHLD; no competitor does that.

    Args:
        roots: process IDs.

    Returns:
        Seconds.
    """
    stats = _all_stats()
    return sum(stats[pid].ticks for pid in family(stats, roots)) / _TICKS_PER_SECOND


def memory_of(root: int) -> int:
    """Return the resident bytes of a process and its descendants; shared memory counts once.

    Args:
        root: process ID.
    """
    return sum(_proportional_set_size(pid) for pid in family(_all_stats(), [root]))


def processes_below(root: int) -> set[int]:
    """Return the process IDs of all descendants of a process."""
    return family(_all_stats(), [root]) - {root}


def family(stats: dict[int, Stat], roots: Iterable[int]) -> set[int]:
    """Return the process IDs of those `roots` that are alive, and of all their descendants."""
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    members: set[int] = set()
    left = [pid for pid in roots if pid in stats]
    while left:
        pid = left.pop()
        members.add(pid)
        left.extend(children.get(pid, ()))
    return members


def listens(pid: int, port: int) -> bool:
    """Return whether a process in the network namespace of `pid` listens on a TCP port.

    This reads `/proc`: a connection would reach the process and cost it time.

    Args:
        pid: process ID.
        port: TCP port.
    """
    try:
        tables = [(PROC / str(pid) / "net" / name).read_text() for name in ("tcp", "tcp6")]
    except OSError:
        return False
    return any(re.search(rf":{port:04X} \S+ 0A ", table) for table in tables)


def _all_stats() -> dict[int, Stat]:
    return dict(_read_stats())


def _read_stats() -> Iterator[tuple[int, Stat]]:
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            yield int(folder.name), Stat.parse((folder / "stat").read_text())
        except OSError:  # the process has exited
            continue


def _proportional_set_size(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # the process has exited
        return 0
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
