"""Happy Eyeballs (RFC 8305): the attempts to connect to one of a host's addresses.

The addresses are tried with the families alternating. The next attempt starts when one has failed,
or when `ATTEMPT_DELAY_S` has passed; the first that connects wins. Both families come from one
look-up, so there is no resolution delay (section 3).

This module opens non-blocking sockets and waits for none. Its callers do: `net.dialer` on a loop,
`net.blocking_dialer` in `poll`.
"""

import socket
from collections.abc import Callable

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.errors import NetjumperError, TargetTimeout
from netjumper.net.socket_options import Found, SockAddr

ATTEMPT_DELAY_S = 0.25
"""Seconds between attempts (RFC 8305 section 5: the "Connection Attempt Delay")."""
MAX_ATTEMPTS = 8
"""Addresses of one host that are dialled: the owner of a name must not cause any number."""

Attempt = tuple[socket.socket, SockAddr]
"""A socket, and the address that it is connected to or will be."""
StartAttempt = Callable[[socket.AddressFamily, SockAddr], socket.socket]
"""Returns a non-blocking socket whose connection is under way, or raises `OSError` or a
`NetjumperError`."""


class ConnectionAttempts:
    """The attempts of one dial.

    Args:
        addresses: the host's, the preferred ones first (RFC 6724); at least one.
    """

    __slots__ = ("_count", "_error", "_first", "_refusal", "_started", "_untried")

    def __init__(self, addresses: Found) -> None:
        self._first: SockAddr = addresses[0][1]
        self._untried = interleaved(addresses)
        self._started: dict[int, Attempt] = {}
        self._count = 0
        self._error: NetjumperError | None = None
        self._refusal: NetjumperError | None = None

    @property
    def has_untried(self) -> bool:
        """Whether there are addresses that were not tried yet."""
        return bool(self._untried)

    @property
    def under_way(self) -> list[int]:
        """The descriptors of the attempts that have neither connected nor failed."""
        return list(self._started)

    @property
    def failure(self) -> NetjumperError | None:
        """Why the dial failed; None while an address is left that may connect.

        It is the first failure: that of the address preferred most. A refusal is the reason only if
        no address was dialled.
        """
        return None if self._untried or self._started else self._error or self._refusal

    def start_next(self, start: StartAttempt) -> socket.socket | None:
        """Start attempts until one is under way, and return its socket.

        The socket is writable when the attempt is over; `finish` then says how it ended.

        Args:
            start: starts one attempt; an error that it raises is that address's failure.

        Returns:
            None if no address is left.
        """
        while self._untried:
            family, sockaddr = self._untried.pop(0)
            try:
                sock = start(family, sockaddr)
            except NetjumperError as error:
                self._refusal = self._refusal or error
            except OSError as error:
                self._record(dial_errors.from_oserror(error, _text(sockaddr)))
            else:
                self._started[sock.fileno()] = sock, sockaddr
                self._count += 1
                if self._count == MAX_ATTEMPTS:
                    self._untried.clear()
                return sock
        return None

    def finish(self, fd: int) -> Attempt | None:
        """Return the attempt whose socket has this descriptor, or None if it has failed.

        The socket is the caller's from then on.
        """
        attempt = sock, sockaddr = self._started.pop(fd)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not number:
            return attempt
        sock.close()
        self._record(dial_errors.from_oserror(OSError(number, ""), _text(sockaddr)))
        return None

    def timed_out(self) -> TargetTimeout:
        """Return the error for a dial whose time is over: it names the first address."""
        return dial_errors.timed_out(_text(self._first))

    def close(self) -> None:
        """Give up: close the sockets of the attempts under way. It may be called again."""
        self._untried.clear()
        for sock, _ in self._started.values():
            sock.close()
        self._started.clear()

    def _record(self, error: NetjumperError) -> None:
        self._error = self._error or error


def interleaved(found: Found) -> Found:
    """Return the addresses with the families alternating (RFC 8305 section 4)."""
    first = [entry for entry in found if entry[0] == found[0][0]]
    other = [entry for entry in found if entry[0] != found[0][0]]
    mixed = []
    while first or other:
        if first:
            mixed.append(first.pop(0))
        if other:
            mixed.append(other.pop(0))
    return mixed


def _text(sockaddr: SockAddr) -> str:
    return str(Address(sockaddr[0], sockaddr[1]))
