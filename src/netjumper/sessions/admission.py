"""Admission: who may come in, and how much each may have.

comes in  ->  waits, and proves who it is  ->  has tunnels, on an account
(its source    (all that wait have a limit       (limits in all, for each
is not shut    of their own: who comes then       source and for each client)
out)           takes the place of another)
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
from netjumper.addressing.source_network import ip_of, source_of
from netjumper.net.connector import Connector
from netjumper.relay.bandwidth import Bandwidth
from netjumper.sessions.ban_list import BanList

FAIR_SHARE = 1 / 16
"""Of all that wait: where more come from one source, one of these makes room for another."""
MOST_KNOWN = 4096
"""Sources that are remembered for those who have come from there."""
_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """How much there may be at a time; None is as much as comes."""

    tunnels: int | None = None
    tunnels_per_source: int | None = None
    bandwidth: float | None = None
    """Bytes a second that all tunnels may move together, both ways counted."""
    unauthenticated: int | None = None
    """Connections that have not proved yet who they are."""
    auth_failures: int = 0
    """From one source, until it is shut out; 0 shuts nobody out."""
    ban_time: float = 60.0
    """Seconds of the first time."""


class Account:
    """What a client has now, and what it may have.

    Args:
        connector: what leads it to its targets.
        max_tunnels: how many it may have at a time; None is as many as it asks for.
        rate: bytes a second that they may move together; None is as many as any other.
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
        """What its tunnels share; None as long as nothing limits them."""


AccountOf = Callable[[str], Account]
"""Given a client's name."""


class Pending(Protocol):
    """A connection that waits: it has not proved yet who it is."""

    def reset(self) -> None:
        """Reset it immediately."""


class Admission:
    """Lets connections in and tunnels begin.

    Args:
        loop: the running loop.
        account_of: the clients' accounts.
        limits: what there may be in all, and from each source.
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
        """Sources from which somebody has come who proved who he is, the latest at the end."""
        self._tunnels: Counter[str] = Counter()
        self.tunnels = 0
        self._bandwidth = Bandwidth(loop, self._limits.bandwidth)

    def set_limits(self, limits: AdmissionLimits) -> None:
        """Have others from now on; nobody is shut out then."""
        self._limits = limits
        self._bans = BanList(limits.auth_failures, limits.ban_time)
        self._bandwidth.set_rate(limits.bandwidth)

    def is_allowed(self, peer: str) -> bool:
        """Return whether a new connection is to be served at all."""
        return not self._bans.is_banned(source_of(peer), self._loop.time())

    def add_pending(self, connection: Pending, peer: str) -> None:
        """Count a connection that has not proved anything, and make room if there are too many."""
        source = self._pending[connection] = source_of(peer)
        self._pending_from[source] += 1
        most = self._limits.unauthenticated
        if most is not None and len(self._pending) > most:
            self._evict()

    def authenticated(self, connection: Pending) -> None:
        """It has proved who it is; it need not be waiting any more."""
        source = self._pending.get(connection)
        if source is None:
            return
        self.remove_pending(connection)
        self._known.pop(source, None)
        self._known[source] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def remove_pending(self, connection: Pending) -> None:
        """It is gone, or has proved who it is; it need not be waiting."""
        source = self._pending.pop(connection, None)
        if source is not None:
            _count_down(self._pending_from, source)

    def auth_failed(self, peer: str, connection: Pending | None = None) -> bool:
        """Count an answer that proves the contrary; a shut-out drops the others from its source.

        Args:
            peer: where it came from.
            connection: who gave it, and is still to be told; None where that is gone.

        Returns:
            Whether it is to be refused slowly.
        """
        source, now = source_of(peer), self._loop.time()
        if not source or not self._limits.auth_failures:
            return False
        slow = self._bans.remembers(source, now)
        if seconds := self._bans.record_failure(source, now):
            # deploy/fail2ban reads this line.
            wrong = self._bans.most
            _LOG.warning(
                "shut out %s for %g s after %d wrong answer%s, the last from %s",
                source, seconds, wrong, "s" if wrong > 1 else "", ip_of(peer),
                extra=NEVER_SUPPRESSED,
            )  # fmt: skip
            for other in [it for it, its in self._pending.items() if its == source]:
                if other is not connection:
                    other.reset()
        return slow

    def open(self, client: str, peer: str, target: Address) -> Account:
        """Count a tunnel that begins, and return the account that it is on.

        Args:
            client: the name that was proved just now.
            peer: where it comes from.
            target: for the error.

        Raises:
            TooManyTunnels: there are as many as there may be.
        """
        account = self.account_of(client)
        source = source_of(peer)
        in_all, per_source = self._limits.tunnels, self._limits.tunnels_per_source
        if in_all is not None and self.tunnels >= in_all:
            raise dial_errors.too_many(target, f"limit of {in_all} in all reached")
        if account.max_tunnels is not None and account.tunnels >= account.max_tunnels:
            raise dial_errors.too_many(
                target, f"limit of {account.max_tunnels} for a client reached"
            )
        if per_source is not None and source and self._tunnels[source] >= per_source:
            raise dial_errors.too_many(target, f"limit of {per_source} from one address reached")
        self.tunnels += 1
        account.tunnels += 1
        self._tunnels[source] += 1
        if account.rate is not None or self._limits.bandwidth is not None:
            self._limit(account)
        return account

    def close(self, account: Account, peer: str) -> None:
        """Count a tunnel that is over."""
        self.tunnels -= 1
        account.tunnels -= 1
        _count_down(self._tunnels, source_of(peer))

    def _limit(self, account: Account) -> None:
        if account.bandwidth is None:
            account.bandwidth = Bandwidth(self._loop, account.rate, self._bandwidth)

    def _evict(self) -> None:
        """Close the oldest of a crowd, or else the oldest from where nobody is known to come.

        What is let in while others flood us is thus not the fastest: who has come before has a
        few places, however many sources a flood has, and no source has more than a few.
        """
        count = len(self._pending) - 1
        source, crowd = self._pending_from.most_common(1)[0]
        if crowd > max(1, count * FAIR_SHARE):
            oldest = next(it for it, its in self._pending.items() if its == source)
        else:
            before = islice(self._pending.items(), count)  # who has just come stays
            unknown = (it for it, its in before if its not in self._known)
            oldest = next(unknown, next(iter(self._pending)))
            source = self._pending[oldest]
        _LOG.warning(
            "%d connections have not proved who they are: closed the oldest of %d from %s",
            count, self._pending_from[source], source or "unix sockets",
        )  # fmt: skip
        oldest.reset()


def _count_down(counter: Counter[str], source: str) -> None:
    counter[source] -= 1
    if not counter[source]:
        del counter[source]
