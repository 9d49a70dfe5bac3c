"""Name look-ups in threads, which do not hold up each other.

`getaddrinfo` blocks, for half a minute if a name server is dead. asyncio's thread pool has six
threads on a small machine: six dead names would stop all look-ups. So each look-up has a daemon
thread of its own, which does not delay the end of the program either. Equal look-ups share a
thread. The number of threads is limited, and no owner can use more than are left for the others:
the first can have half of them, the second half of the rest. So a look-up of one owner works,
however many names of another hang.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netjumper import dial_errors
from netjumper.addressing.address import Address, ip_literal, without_ipv4_mapping
from netjumper.net.socket_options import Found, SockAddr

GetAddrInfo = Callable[..., Any]
"""Has the arguments and results of `socket.getaddrinfo`."""
Answer = Found | OSError
"""What a look-up found, or why it failed."""

MAX_LOOKUPS = 256


@dataclass(slots=True)
class _LookUp:
    owner: object
    """Whose limit it counts against; those that join it later are not counted."""
    answers: list[Callable[[Answer], None]]


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
        self._waiting: dict[tuple[str, int], _LookUp] = {}

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
            waiting.answers.append(answer)
            return
        own = sum(it.owner is owner for it in self._waiting.values())
        if own >= MAX_LOOKUPS - len(self._waiting):
            busy = f"{own} name look-ups are in progress"
            self._loop.call_soon(answer, socket.gaierror(socket.EAI_AGAIN, busy))
            return
        thread = threading.Thread(
            target=self._look_up, args=key, name=f"lookup {host}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system allows no more threads
            self._loop.call_soon(answer, socket.gaierror(socket.EAI_AGAIN, str(error)))
            return
        self._waiting[key] = _LookUp(owner, [answer])  # the loop reads it later, so this is in time

    def _look_up(self, host: str, port: int) -> None:
        answer = look_up(host, port, self._getaddrinfo)
        try:
            self._loop.call_soon_threadsafe(self._answered, (host, port), answer)
        except RuntimeError:
            return  # the loop is closed: nothing waits for the answer

    def _answered(self, key: tuple[str, int], found: Answer) -> None:
        for answer in self._waiting.pop(key).answers:
            self._loop.call_soon(answer, found)  # each in its own call: one can fail


def look_up(host: str, port: int, getaddrinfo: GetAddrInfo) -> Answer:
    """Look up a name and return its addresses, or the error; blocks."""
    try:
        infos = getaddrinfo(host, port, type=socket.SOCK_STREAM)
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
