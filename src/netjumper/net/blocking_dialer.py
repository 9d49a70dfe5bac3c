"""Dials without an event loop: the caller's thread waits, but not beyond its deadline."""

import queue
import selectors
import socket
import threading
import time

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.net.happy_eyeballs import ATTEMPT_DELAY_S, Attempt, ConnectionAttempts
from netjumper.net.resolver import (
    FAMILIES,
    RESOLUTION_DELAY_S,
    SLOW_LOOKUP_S,
    Answer,
    checked_answer,
    combined,
    found_literal,
    is_final,
    is_found,
    look_up,
)
from netjumper.net.socket_options import Found, SocketOptions

# `poll` needs no descriptor of its own and, unlike `select`, takes any; Windows has `select` only.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def resolve(target: Address, deadline: float) -> Found:
    """Return the addresses of a target's host, at least one.

    Args:
        target: what will be dialled.
        deadline: when to give up, by `time.monotonic()`.

    Raises:
        TargetError: the name has no address, or was not looked up in time.
    """
    if found := found_literal(target):
        return found
    lookup = _LookUp(target)
    lookup.start(socket.AF_UNSPEC)
    wake = time.monotonic() + SLOW_LOOKUP_S
    while True:
        try:
            family, answer = lookup.answers.get(timeout=seconds_left(min(wake, deadline)))
        except queue.Empty:
            if any(map(is_found, lookup.by_family.values())):
                return checked_answer(combined(lookup.by_family), target)
            if time.monotonic() >= deadline:
                raise dial_errors.lookup_timed_out(target.host) from None
            for family in FAMILIES:
                lookup.start(family)
            wake = deadline
            continue
        lookup.by_family[family] = answer
        if is_final(family, answer):
            return checked_answer(answer, target)
        if lookup.is_over:
            return checked_answer(combined(lookup.by_family), target)
        if is_found(answer):
            wake = time.monotonic() + RESOLUTION_DELAY_S


class _LookUp:
    """The look-ups of one name, each in a thread: a dead name server makes `getaddrinfo` block."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._threads = 0
        self.answers: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
        self.by_family: dict[int, Answer] = {}

    @property
    def is_over(self) -> bool:
        """Whether no answer can come that would change anything."""
        return len(self.by_family) == self._threads or all(it in self.by_family for it in FAMILIES)

    def start(self, family: int) -> None:
        """Look the name up for a family; AF_UNSPEC is both."""
        host, port = self._target.host, self._target.port

        def ask() -> None:
            self.answers.put((family, look_up(host, port, socket.getaddrinfo, family)))

        self._threads += 1
        try:
            threading.Thread(target=ask, name=f"lookup {host}", daemon=True).start()
        except RuntimeError as error:  # the system allows no more threads
            self.answers.put((family, socket.gaierror(socket.EAI_AGAIN, str(error))))


def dial(found: Found, options: SocketOptions, deadline: float) -> Attempt:
    """Connect to one of the addresses (RFC 8305); return the non-blocking socket and the address.

    Args:
        found: the addresses, the preferred ones first.
        options: of the socket.
        deadline: when to give up, by `time.monotonic()`.

    Raises:
        TargetError: none of them can be connected to, or none was in time.
    """
    attempts = ConnectionAttempts(found)
    next_attempt = 0.0
    with _Selector() as selector:
        try:
            while not (failure := attempts.failure):
                now = time.monotonic()
                if attempts.has_untried and now >= next_attempt:
                    if sock := attempts.start_next(options.dial):
                        selector.register(sock, selectors.EVENT_WRITE)
                    next_attempt = now + ATTEMPT_DELAY_S
                    continue
                if now >= deadline:
                    raise attempts.timed_out()
                wake = min(deadline, next_attempt) if attempts.has_untried else deadline
                for key, _ in selector.select(wake - now):
                    selector.unregister(key.fileobj)
                    if connected := attempts.finish(key.fd):
                        return connected
                    next_attempt = 0.0
            raise failure
        finally:
            attempts.close()


def seconds_left(deadline: float) -> float:
    """Return the seconds until a deadline, at least a little: 0 would mean not to block."""
    return max(deadline - time.monotonic(), 1e-3)
