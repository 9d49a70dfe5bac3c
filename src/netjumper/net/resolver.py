"""Name look-ups in threads, which do not hold up each other.

`getaddrinfo` blocks, for half a minute if a name server is dead. asyncio's thread pool has six
threads on a small machine: six dead names would stop all look-ups. So each look-up has a daemon
thread of its own, which does not delay the end of the program either. Equal look-ups share a
thread. The number of threads is limited, and no owner can use more than are left for the others:
the first can have half of them, the second half of the rest. So a look-up of one owner works,
however many names of another hang.

`getaddrinfo` asks for IPv4 and IPv6 addresses and waits for both answers. Some name servers never
answer one of the two questions. So a slow look-up is repeated for each family alone, and the first
that finds addresses is waited for, and then the other one for `RESOLUTION_DELAY_S`.
"""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netjumper import dial_errors
from netjumper.addressing.address import Address, ip_literal, without_ipv4_mapping
from netjumper.net.socket_options import Found, SockAddr

GetAddrInfo = Callable[..., Any]
"""Has the arguments and results of `socket.getaddrinfo`."""
Answer = Found | OSError
"""What a look-up found, or why it failed."""

MAX_LOOKUPS = 256
"""Threads that look up names at a time."""
SLOW_LOOKUP_S = 0.3
"""Seconds after which a look-up is repeated for each family alone."""
RESOLUTION_DELAY_S = 0.05
"""Seconds that one family's addresses wait for the other's (RFC 8305 section 3)."""
SLOW_ANSWER_LIFETIME_S = 10.0
"""Seconds that the answer of a slow look-up is kept: it may come too late for the one that asked,
and the next one would wait as long."""

FAMILIES = (socket.AF_INET6, socket.AF_INET)
_DOES_NOT_EXIST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_Key = tuple[str, int]


@dataclass(slots=True)
class _LookUp:
    owner: object
    """Whose limit it counts against; those that join it later are not counted."""
    callbacks: list[Callable[[Answer], None]]
    by_family: dict[int, Answer] = field(default_factory=dict)
    threads: int = 0
    is_slow: bool = False
    timer: asyncio.TimerHandle | None = None


class Resolver:
    """Looks up names for one loop.

    Args:
        loop: the running loop; answers arrive there.
        getaddrinfo: does a look-up, in a thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
    ) -> None:
        self._loop = loop
        self._getaddrinfo = getaddrinfo
        self._waiting: dict[_Key, _LookUp] = {}
        self._threads: Counter[object] = Counter()
        self._slow_answers: dict[_Key, Answer] = {}

    def resolve(
        self, host: str, port: int, answer: Callable[[Answer], None], owner: object = None
    ) -> None:
        """Look `host` up and call `answer` later, never before this returns.

        Args:
            host: a name.
            port: the port, passed through to the answer.
            answer: called with the addresses, or the error.
            owner: whose limit the look-up counts against.
        """
        key = (host, port)
        if waiting := self._waiting.get(key):
            waiting.callbacks.append(answer)
            return
        if kept := self._slow_answers.get(key):
            self._loop.call_soon(answer, kept)
            return
        lookup = _LookUp(owner, [answer])
        if error := self._start(key, lookup, socket.AF_UNSPEC):
            self._loop.call_soon(answer, error)
            return
        self._waiting[key] = lookup  # the loop reads it later, so this is in time
        lookup.timer = self._loop.call_later(SLOW_LOOKUP_S, self._look_up_families, key, lookup)

    def _look_up_families(self, key: _Key, lookup: _LookUp) -> None:
        lookup.is_slow = True
        for family in FAMILIES:
            self._start(key, lookup, family)

    def _start(self, key: _Key, lookup: _LookUp, family: int) -> OSError | None:
        """Start a thread; return why that is not possible."""
        own = self._threads[lookup.owner]
        if own >= MAX_LOOKUPS - self._threads.total():
            return socket.gaierror(socket.EAI_AGAIN, f"{own} name look-ups are in progress")
        thread = threading.Thread(
            target=self._look_up, args=(key, lookup, family), name=f"lookup {key[0]}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system allows no more threads
            return socket.gaierror(socket.EAI_AGAIN, str(error))
        self._threads[lookup.owner] += 1
        lookup.threads += 1
        return None

    def _look_up(self, key: _Key, lookup: _LookUp, family: int) -> None:
        answer = look_up(*key, self._getaddrinfo, family)
        try:
            self._loop.call_soon_threadsafe(self._thread_ended, key, lookup, family, answer)
        except RuntimeError:
            return  # the loop is closed: nothing waits for the answer

    def _thread_ended(self, key: _Key, lookup: _LookUp, family: int, answer: Answer) -> None:
        lookup.threads -= 1
        self._threads[lookup.owner] -= 1
        if not self._threads[lookup.owner]:
            del self._threads[lookup.owner]
        if self._waiting.get(key) is not lookup:
            return
        lookup.by_family[family] = answer
        if is_final(family, answer):
            self._answer(key, lookup, answer)
        elif not lookup.threads or all(it in lookup.by_family for it in FAMILIES):
            self._answer(key, lookup, combined(lookup.by_family))
        elif is_found(answer):
            self._loop.call_later(RESOLUTION_DELAY_S, self._answer_with_one_family, key, lookup)

    def _answer_with_one_family(self, key: _Key, lookup: _LookUp) -> None:
        if self._waiting.get(key) is lookup:
            self._answer(key, lookup, combined(lookup.by_family))

    def _answer(self, key: _Key, lookup: _LookUp, found: Answer) -> None:
        del self._waiting[key]
        if lookup.timer is not None:
            lookup.timer.cancel()
        if lookup.is_slow and is_found(found):
            self._slow_answers[key] = found
            self._loop.call_later(SLOW_ANSWER_LIFETIME_S, self._slow_answers.pop, key, None)
        for callback in lookup.callbacks:
            self._loop.call_soon(callback, found)  # each in its own call: one can fail


def is_found(answer: Answer) -> bool:
    """Return whether a look-up found addresses."""
    return not isinstance(answer, OSError) and bool(answer)


def is_final(family: int, answer: Answer) -> bool:
    """Return whether another look-up would not find more: this one was for both families."""
    if family != socket.AF_UNSPEC:
        return False
    return not isinstance(answer, OSError) or answer.errno in _DOES_NOT_EXIST


def combined(by_family: Mapping[int, Answer]) -> Answer:
    """Return the addresses of all answers, IPv6 first, or the error of one.

    Args:
        by_family: the answers, at least one, by the family that was asked for.
    """
    found = [it for family in FAMILIES for it in _addresses(by_family.get(family, []))]
    return found or next(iter(by_family.values()))


def _addresses(answer: Answer) -> Found:
    return [] if isinstance(answer, OSError) else answer


def look_up(
    host: str, port: int, getaddrinfo: GetAddrInfo, family: int = socket.AF_UNSPEC
) -> Answer:
    """Look up a name and return its addresses, or the error; blocks.

    Args:
        host: a name.
        port: the port, passed through to the answer.
        getaddrinfo: does the look-up.
        family: of the addresses; AF_UNSPEC is both.
    """
    try:
        infos = getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except OSError as error:
        return _resource_exhaustion() or error
    except ValueError as error:  # an embedded NUL, or a label the codec refuses
        return socket.gaierror(socket.EAI_NONAME, str(error))
    return [_as_ipv4(info[0], info[4]) for info in infos]


def _as_ipv4(
    family: socket.AddressFamily, sockaddr: SockAddr
) -> tuple[socket.AddressFamily, SockAddr]:
    """Return an IPv4-mapped address as IPv4; a line may have no IPv6 for its socket."""
    ip = without_ipv4_mapping(sockaddr[0])
    return (family, sockaddr) if ip == sockaddr[0] else (socket.AF_INET, (ip, sockaddr[1]))


def found_literal(target: Address) -> Found:
    """Return the address if a target's host is one, as IPv4 if it is IPv4-mapped; else empty."""
    literal = ip_literal(target.host)
    if literal is None:
        return []
    if literal.version == 6 and literal.ipv4_mapped:
        return [(socket.AF_INET, (str(literal.ipv4_mapped), target.port))]
    family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
    return [(family, (target.host, target.port))]


def checked_answer(answer: Answer, target: Address) -> Found:
    """Return the addresses that a look-up found, at least one.

    Raises:
        TargetError: the look-up failed, or found no address.
    """
    if isinstance(answer, socket.gaierror):
        raise dial_errors.from_gaierror(answer, target.host)
    if isinstance(answer, OSError):
        raise dial_errors.from_oserror(answer, str(target))
    if not answer:
        raise dial_errors.name_not_found(target.host)
    return answer


def _resource_exhaustion() -> OSError | None:
    """Return the error if the system is out of resources.

    The resolver reports that as a name that does not exist.
    """
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error if error.errno in dial_errors.OUT_OF_RESOURCES else None
    return None
