"""A connector over several jump hosts, with a pool of parked connections for each.

A request outlives the connection that it was sent on. A connection that was lost while it was
parked is replaced; if the answer takes longer than usual, the request is also sent on a second
connection; if a jump host turns out to be down, the request goes to the next one.
"""

from collections.abc import Sequence

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData
from netjumper.bridge.upstream.balancing import Balancing, Failover
from netjumper.bridge.upstream.early_data import KnownTargets
from netjumper.bridge.upstream.hedge_budget import HedgeBudget
from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.bridge.upstream.request import Request, RequestContext
from netjumper.net.connector import Connector, Failed, Opened
from netjumper.net.deadlines import Deadlines
from netjumper.protocol.wire import destination_frame

UNANSWERED_S = 1.0
"""Seconds without an answer after which a connection is a black hole, most likely."""


class Upstream(Connector):
    """Connects to targets through jump hosts.

    Args:
        pools: one for each jump host; at least one.
        balancing: the order in which a request tries the jump hosts; default: `Failover`.
        early: the targets for which a client gets its success reply before the outcome is known.
    """

    def __init__(
        self,
        pools: Sequence[ConnectionPool],
        balancing: Balancing | None = None,
        early: EarlyData = EarlyData.KNOWN,
    ) -> None:
        self._pools = pools
        self._balancing = balancing or Failover()
        loop = pools[0].host.loop
        self.context = RequestContext(
            loop=loop,
            known=KnownTargets(early),
            unanswered=Deadlines(loop, UNANSWERED_S, Request.check_unanswered),
            hedge_budget=HedgeBudget(),
        )

    def connect(self, target: Address, opened: Opened, failed: Failed) -> Request:
        """Request a tunnel; one of the callbacks is called later.

        Args:
            target: the target of the tunnel.
            opened: called with the endpoint once the target is reached.
            failed: called with a `JumpHostError` or a `TargetError`.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        destination_frame(target)  # raises before a connection is taken
        self.context.hedge_budget.record_request()
        for pool in self._pools:
            pool.check_stalled()
        candidates = self._balancing.order(self._pools)
        candidates[0].record_request()
        return Request(self.context, candidates, target, opened, failed)
