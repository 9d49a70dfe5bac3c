"""Name look-ups that stop nobody else.

`getaddrinfo` blocks, and a dead name server makes it block for half a minute. asyncio's shared
thread pool has six threads on a small machine: six dead names and nobody resolves anything
more. So every look-up has a daemon thread of its own (which also never delays the program's
end), equal look-ups under way share one, and their number is bounded: nobody has more under way
than are left for others. So one asker has half of them, a second one half of what remains, and
however many names of theirs hang, somebody else's is looked up.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netjumper import dial_errors
from netjumper.addressing.address import Address, ip_literal
from netjumper.net.socket_options import Found

GetAddrInfo = Callable[..., Any]
"""Called and answering as `socket.getaddrinfo`."""
Answer = Found | OSError
"""What a look-up found, or why it failed."""

MAX_LOOKUPS = 256


@dataclass(slots=True)
class _LookUp:
    asker: object
    """Whose it is; others who asked the same since are along for nothing."""
    answers: list[Callable[[Answer], None]]


class Resolver:
    """Looks names up for one loop.

    Args:
        loop: the running loop; answers arrive there.
        getaddrinfo: what does the work, in a thread.
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
        self, host: str, port: int, answer: Callable[[Answer], None], asker: object = None
    ) -> None:
        """Look `host` up and call `answer` later, never before this returns.

        Args:
            host: a name.
            port: the service's.
            answer: is given what was found, or what went wrong.
            asker: who may have no more look-ups under way than are left for others.
        """
        key = (host, port)
        if waiting := self._waiting.get(key):
            waiting.answers.append(answer)
            return
        own = sum(it.asker is asker for it in self._waiting.values())
        if own >= MAX_LOOKUPS - len(self._waiting):
            busy = f"{own} name look-ups are under way"
            self._loop.call_soon(answer, socket.gaierror(socket.EAI_AGAIN, busy))
            return
        thread = threading.Thread(
            target=self._look_up, args=key, name=f"lookup {host}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system grants no more threads
            self._loop.call_soon(answer, socket.gaierror(socket.EAI_AGAIN, str(error)))
            return
        self._waiting[key] = _LookUp(asker, [answer])  # read on the loop only, so not too late

    def _look_up(self, host: str, port: int) -> None:
        answer = look_up(host, port, self._getaddrinfo)
        try:
            self._loop.call_soon_threadsafe(self._answered, (host, port), answer)
        except RuntimeError:
            return  # the loop was closed meanwhile; nobody waits any more

    def _answered(self, key: tuple[str, int], found: Answer) -> None:
        for answer in self._waiting.pop(key).answers:
            self._loop.call_soon(answer, found)  # one that fails is not to stop the others


def look_up(host: str, port: int, getaddrinfo: GetAddrInfo) -> Answer:
    """Look a name up and return what was found, or the error; it blocks."""
    try:
        infos = getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return _shortage() or error
    except ValueError as error:  # an embedded NUL, or a label the codec refuses
        return socket.gaierror(socket.EAI_NONAME, str(error))
    return [(info[0], info[4]) for info in infos]


def found_literal(target: Address) -> Found:
    """Return the address that a target's host is; empty if it is a name, to be looked up."""
    literal = ip_literal(target.host)
    if literal is None:
        return []
    family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
    return [(family, (target.host, target.port))]


def checked_answer(answer: Answer, target: Address) -> Found:
    """Return the addresses that a look-up found, at least one.

    Raises:
        TargetError: the look-up failed, or found none.
    """
    if isinstance(answer, socket.gaierror):
        raise dial_errors.from_gaierror(answer, target.host)
    if isinstance(answer, OSError):
        raise dial_errors.from_oserror(answer, str(target))
    if not answer:
        raise dial_errors.name_not_found(target.host)
    return answer


def _shortage() -> OSError | None:
    """Return what the system has run out of: the resolver then says that a name does not exist."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error if error.errno in dial_errors.OUT_OF_RESOURCES else None
    return None
