"""What processes cost: processor time and memory, from Linux's `/proc`."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of `/proc/PID/stat`; see proc(5).

    Args:
        parent: its parent's number.
        ticks: its processor time, and that of children which ended and were waited for.
    """

    parent: int
    ticks: int

    @classmethod
    def parse(cls, text: str) -> "Stat":
        """Parse the line; the second field, the command, may have spaces and brackets in it."""
        fields = text.rpartition(")")[2].split()
        return cls(parent=int(fields[1]), ticks=sum(map(int, fields[11:15])))


def processor_seconds(roots: Iterable[int]) -> float:
    """Return the processor time of processes and all below them, of those that ended too.

    A process that ends hands its time to the parent that waits for it, so that the sum never
    shrinks. The time of one whose parent ignores SIGCHLD is lost; no peer's does.

    Args:
        roots: numbers of processes.
    """
    stats = _all_stats()
    return sum(stats[pid].ticks for pid in family(stats, roots)) / _TICKS_PER_SECOND


def memory_of(root: int) -> int:
    """Return the resident bytes of a process and all below it; what they share counts once.

    Args:
        root: the number of a process.
    """
    return sum(_proportional_set_size(pid) for pid in family(_all_stats(), [root]))


def processes_below(root: int) -> set[int]:
    """Return the numbers of a process's children, of theirs, and so on."""
    return family(_all_stats(), [root]) - {root}


def family(stats: dict[int, Stat], roots: Iterable[int]) -> set[int]:
    """Return the numbers of those processes of `roots` that live, and of all below them."""
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    found: set[int] = set()
    left = [pid for pid in roots if pid in stats]
    while left:
        pid = left.pop()
        found.add(pid)
        left.extend(children.get(pid, ()))
    return found


def listens(pid: int, port: int) -> bool:
    """Return whether a process in the same network listens on a TCP port.

    Looking it up leaves no trace, where a connection would be served.
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
        except OSError:  # it has ended
            continue


def _proportional_set_size(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
