"""Admission: which connections are served, and how many connections and tunnels there can be.

accepted      ->  pending                      ->  authenticated, has tunnels
(unless its       (limited in number: a new        (limited in number in all, for
source is         connection evicts another        each source and each client)
banned)           one)
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from netjumper import dial_errors
from netjumper.access_log import NEVER_SUPPRESSED
from netjumper.addressing.address import Address
from netjumper.addressing.source_network import ip_of, is_loopback, source_of
from netjumper.net.connector import Connector
from netjumper.relay.bandwidth import Bandwidth
from netjumper.sessions.ban_list import BanList

FAIR_SHARE = 1 / 16
"""Of all pending connections: a source with a larger share loses one when another is needed."""
MAX_KNOWN_SOURCES = 4096
"""Number of sources that are remembered because a client from there was authenticated."""
_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """How much there can be at a time; None is no limit."""

    tunnels: int | None = None
    tunnels_per_source: int | None = None
    bandwidth: float | None = None
    """Bytes per second of all tunnels together, both directions counted."""
    unauthenticated: int | None = None
    """Connections that are not authenticated yet."""
    auth_failures: int = 0
    """Failed authentications that ban their source; 0 bans none."""
    ban_time: float = 60.0
    """Seconds of a source's first ban."""
    bans_loopback: bool = True
    """Whether all programs of this machine are banned for the failures of one of them."""


class Account:
    """What a client uses now, and its limits.

    Args:
        connector: connects to the client's targets.
        max_tunnels: how many tunnels it can have at a time; None is no limit of its own.
        rate: bytes per second of its tunnels together; None is no limit of its own.
    """

    __slots__ = ("bandwidth", "connector", "max_tunnels", "rate", "tunnels")

    def __init__(
        self,
        connector: Connector,
        max_tunnels: int | None = None,
        rate: float | None = None,
    ) -> None:
        self.connector = connector
        self.max_tunnels = max_tunnels
        self.rate = rate
        self.tunnels = 0
        self.bandwidth: Bandwidth | None = None
        """Shared by its tunnels; None as long as nothing limits them."""


AccountOf = Callable[[str], Account]
"""Returns the account of a client, given its name."""


class Pending(Protocol):
    """A connection that is not authenticated yet."""

    def reset(self) -> None:
        """Reset it immediately."""


class Admission:
    """Limits connections and tunnels.

    Args:
        loop: the running loop.
        account_of: returns a client's account.
        limits: the limits in all and for each source.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        account_of: AccountOf,
        limits: AdmissionLimits | None = None,
    ) -> None:
        self._loop = loop
        self.account_of = account_of
        self._limits = limits or AdmissionLimits()
        self._bans = BanList(self._limits.auth_failures, self._limits.ban_time)
        self._pending: dict[Pending, str] = {}
        self._pending_from: Counter[str] = Counter()
        self._known: dict[str, None] = {}
        """Sources that an authenticated client has come from, the latest at the end."""
        self._tunnels: Counter[str] = Counter()
        self.tunnels = 0
        self._bandwidth = Bandwidth(loop, self._limits.bandwidth)

    def set_limits(self, limits: AdmissionLimits) -> None:
        """Replace the limits and lift all bans."""
        self._limits = limits
        self._bans = BanList(limits.auth_failures, limits.ban_time)
        self._bandwidth.set_rate(limits.bandwidth)

    def is_allowed(self, peer: str) -> bool:
        """Return whether a new connection is served: its source is not banned."""
        return not self._bans.is_banned(source_of(peer), self._loop.time())

    def add_pending(self, connection: Pending, peer: str) -> None:
        """Count a connection that is not authenticated; evict another if there are too many."""
        source = self._pending[connection] = source_of(peer)
        self._pending_from[source] += 1
        max_pending = self._limits.unauthenticated
        if max_pending is not None and len(self._pending) > max_pending:
            self._evict()

    def authenticated(self, connection: Pending) -> None:
        """Stop counting a connection as pending, and remember its source as a known one.

        The connection need not be pending.
        """
        source = self._pending.get(connection)
        if source is None:
            return
        self.remove_pending(connection)
        self._known.pop(source, None)
        self._known[source] = None
        if len(self._known) > MAX_KNOWN_SOURCES:
            del self._known[next(iter(self._known))]

    def remove_pending(self, connection: Pending) -> None:
        """Stop counting a connection as pending; it need not be pending."""
        source = self._pending.pop(connection, None)
        if source is not None:
            _decrement(self._pending_from, source)

    def auth_failed(self, peer: str, connection: Pending | None = None) -> bool:
        """Count a failed authentication. A ban resets the other pending connections of its source.

        Args:
            peer: the address of the client.
            connection: its connection, which must still receive the refusal; None if it is gone.

        Returns:
            Whether the refusal must be delayed.
        """
        source, now = source_of(peer), self._loop.time()
        if not source or not self._limits.auth_failures:
            return False
        must_delay = self._bans.has_recent_failure(source, now)
        may_ban = self._limits.bans_loopback or not is_loopback(peer)
        if seconds := self._bans.record_failure(source, now, may_ban=may_ban):
            # deploy/fail2ban reads this line.
            count = self._bans.max_failures
            _LOG.warning(
                "banned %s for %g s after %d failed authentication%s, last from %s",
                source, seconds, count, "s" if count > 1 else "", ip_of(peer),
                extra=NEVER_SUPPRESSED,
            )  # fmt: skip
            for other in [it for it, its in self._pending.items() if its == source]:
                if other is not connection:
                    other.reset()
        return must_delay

    def open(self, client: str, peer: str, target: Address) -> Account:
        """Count a new tunnel and return the account that it belongs to.

        Args:
            client: the client's authenticated name.
            peer: the client's address.
            target: for the error.

        Raises:
            TooManyTunnels: a limit is reached.
        """
        account = self.account_of(client)
        source = source_of(peer)
        in_all, per_source = self._limits.tunnels, self._limits.tunnels_per_source
        if in_all is not None and self.tunnels >= in_all:
            raise dial_errors.too_many(str(target), f"limit of {in_all} in total reached")
        if account.max_tunnels is not None and account.tunnels >= account.max_tunnels:
            raise dial_errors.too_many(
                str(target), f"limit of {account.max_tunnels} per client reached"
            )
        if per_source is not None and source and self._tunnels[source] >= per_source:
            raise dial_errors.too_many(str(target), f"limit of {per_source} per address reached")
        self.tunnels += 1
        account.tunnels += 1
        self._tunnels[source] += 1
        limited = account.rate is not None or self._limits.bandwidth is not None
        if limited and account.bandwidth is None:
            account.bandwidth = Bandwidth(self._loop, account.rate, self._bandwidth)
        return account

    def close(self, account: Account, peer: str) -> None:
        """Stop counting a tunnel that is over."""
        self.tunnels -= 1
        account.tunnels -= 1
        _decrement(self._tunnels, source_of(peer))

    def _evict(self) -> None:
        """Reset a pending connection to make room for the newest one.

        It is the oldest of the source with the most, if that has more than its fair share, and
        else the oldest from an unknown source. So a flood does not favour the fastest: known
        sources keep a few places, however many sources the flood comes from, and no source has
        more than a few.
        """
        count = len(self._pending) - 1
        source, largest = self._pending_from.most_common(1)[0]
        if largest > max(1, count * FAIR_SHARE):
            oldest = next(it for it, its in self._pending.items() if its == source)
        else:
            before = islice(self._pending.items(), count)  # the newest one is not evicted
            unknown = (it for it, its in before if its not in self._known)
            oldest = next(unknown, next(iter(self._pending)))
            source = self._pending[oldest]
        _LOG.warning(
            "%d unauthenticated connections: closed the oldest of %d from %s",
            count, self._pending_from[source], source or "unix sockets",
        )  # fmt: skip
        oldest.reset()


def _decrement(counter: Counter[str], source: str) -> None:
    counter[source] -= 1
    if not counter[source]:
        del counter[source]
