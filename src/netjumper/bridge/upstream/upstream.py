"""The way out: tunnels through one of several jump hosts, on parked connections if there are any.

A request outlives the connection that it was made on: one that was lost while it was parked is
replaced, where the answer takes longer than usual another connection is asked the same, and where a
jump host turns out to be down the request goes on to the next.
"""

from collections.abc import Sequence

from netjumper.addressing.address import Address
from netjumper.bridge.upstream.balancing import First, Policy
from netjumper.bridge.upstream.early_data import EarlyData, KnownTargets
from netjumper.bridge.upstream.pool import Parking
from netjumper.bridge.upstream.request import Request
from netjumper.net.connector import Connector, Failed, Opened
from netjumper.net.deadlines import Deadlines
from netjumper.protocol.wire import destination_frame

SHARE = 0.1
"""Of the requests at most so many are asked twice because the first answer is late."""
SAVED_UP = 10.0
"""So many such requests can be behind each other."""
LOST = 1.0
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
        parkings: Sequence[Parking],
        policy: Policy | None = None,
        early: EarlyData = EarlyData.KNOWN,
    ) -> None:
        self._parkings = parkings
        self._policy = policy or First()
        self.loop = parkings[0].host.loop
        self.known = KnownTargets(early)
        self.unanswered: Deadlines[Request] = Deadlines(self.loop, LOST, Request.is_lost)
        self._second_tries = SAVED_UP

    def connect(self, target: Address, opened: Opened, failed: Failed) -> "Request":
        """Begin a tunnel.

        Raises:
            AddressError: the target is too long for the protocol.
        """
        destination_frame(target)  # raises before a connection is taken
        self._second_tries = min(self._second_tries + SHARE, SAVED_UP)
        for parking in self._parkings:
            parking.look_for_hung()
        ways = self._policy.order(self._parkings)
        ways[0].note_request()
        return Request(self, ways, target, opened, failed)

    def may_try_twice(self) -> bool:
        """Whether a request may be asked twice; counts it then."""
        if self._second_tries < 1:
            return False
        self._second_tries -= 1
        return True
