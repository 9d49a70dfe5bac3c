"""Dials without an event loop: the caller's thread waits, but not beyond its deadline."""

import queue
import selectors
import socket
import threading
import time

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.net.happy_eyeballs import ATTEMPT_DELAY_S, Attempt, ConnectionAttempts
from netjumper.net.resolver import Answer, checked_answer, found_literal, look_up
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
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def ask() -> None:
        answers.put(look_up(target.host, target.port, socket.getaddrinfo))

    # In a thread: a dead name server makes `getaddrinfo` block for half a minute.
    thread = threading.Thread(target=ask, name=f"lookup {target.host}", daemon=True)
    try:
        thread.start()
        answer = answers.get(timeout=seconds_left(deadline))
    except RuntimeError as error:  # the system allows no more threads
        answer = socket.gaierror(socket.EAI_AGAIN, str(error))
    except queue.Empty:
        raise dial_errors.timed_out(str(target)) from None
    return checked_answer(answer, target)


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
