"""The way out: tunnels through one of several jump hosts, on parked connections if there are any.

A request outlives the connection that it was made on: one that was lost while it was parked is
replaced, where the answer takes longer than usual another connection is asked the same, and where a
jump host turns out to be down the request goes on to the next.
"""

from collections.abc import Sequence

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData
from netjumper.bridge.upstream.balancing import Balancing, Failover
from netjumper.bridge.upstream.early_data import KnownTargets
from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.bridge.upstream.request import Request
from netjumper.net.connector import Connector, Failed, Opened
from netjumper.net.deadlines import Deadlines
from netjumper.protocol.wire import destination_frame

HEDGE_RATIO = 0.1
"""Of the requests at most so many are asked twice because the first answer is late."""
HEDGE_BURST = 10.0
"""So many such requests can be behind each other."""
UNANSWERED_S = 1.0
"""Seconds without an answer; then the connection leads nowhere, most likely."""


class Upstream(Connector):
    """Leads to targets through jump hosts.

    Args:
        parkings: the jump hosts, each with the connections that are parked at it; one or more.
        policy: in which order a request tries them.
        early: which targets programs are told to have reached before that is known.
    """

    def __init__(
        self,
        pools: Sequence[ConnectionPool],
        policy: Balancing | None = None,
        early: EarlyData = EarlyData.KNOWN,
    ) -> None:
        self._pools = pools
        self._balancing = policy or Failover()
        self.loop = pools[0].host.loop
        self.known = KnownTargets(early)
        self.unanswered: Deadlines[Request] = Deadlines(
            self.loop, UNANSWERED_S, Request.check_unanswered
        )
        self._hedge_tokens = HEDGE_BURST

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "Request":
        """Begin a tunnel.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        destination_frame(target)  # raises before a connection is taken
        self._hedge_tokens = min(self._hedge_tokens + HEDGE_RATIO, HEDGE_BURST)
        for pool in self._pools:
            pool.check_stalled()
        candidates = self._balancing.order(self._pools)
        candidates[0].record_request()
        return Request(self, candidates, target, opened, failed)

    def may_hedge(self) -> bool:
        """Whether a request may be asked twice; counts it then."""
        if self._hedge_tokens < 1:
            return False
        self._hedge_tokens -= 1
        return True
