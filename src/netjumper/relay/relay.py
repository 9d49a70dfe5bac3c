"""The relay: two endpoints piped to each other until both directions have ended.

Each direction ends on its own. An end of stream becomes a shutdown of the other side, after the
bytes before it; a reset becomes a reset.
"""

from collections.abc import Callable

from netjumper.net.deadlines import Deadlines
from netjumper.net.endpoint import Endpoint
from netjumper.net.user_timeout import suspend_user_timeout
from netjumper.relay.bandwidth import Bandwidth
from netjumper.relay.direction import Direction
from netjumper.relay.ending import RelayEnd
from netjumper.relay.splice import RelayMemory
from netjumper.relay.throttled_direction import ThrottledDirection

HALF_CLOSED_CHECK_INTERVAL_S = 5.0
"""Seconds between two calls of `Relay.check_half_closed`."""


class Relay:
    """Pipes two endpoints to each other and owns them from `start` on.

    Args:
        memory: the loop's shared buffer and pipes.
        client: the connection to the client.
        target: the connection to the target.
        done: called once, with why the relay ended, when both endpoints are closed.
        half_closed: calls `check_half_closed` of its relays every `HALF_CLOSED_CHECK_INTERVAL_S`.
        bandwidth: the bandwidth that both directions count against; None is no limit.
    """

    __slots__ = (
        "_client",
        "_done",
        "_down",
        "_half_closed",
        "_target",
        "_up",
        "can_splice",
        "memory",
    )

    def __init__(
        self,
        memory: RelayMemory,
        client: Endpoint,
        target: Endpoint,
        done: Callable[[RelayEnd], None],
        half_closed: "Deadlines[Relay] | None" = None,
        bandwidth: Bandwidth | None = None,
    ) -> None:
        self.memory = memory
        self.can_splice = (
            memory.splice and client.plain_fd is not None and target.plain_fd is not None
        )
        self._client = client
        self._target = target
        self._done: Callable[[RelayEnd], None] | None = done
        self._half_closed = half_closed
        self._up: Direction
        self._down: Direction
        if bandwidth is None:
            self._up = Direction(self, client, target)
            self._down = Direction(self, target, client)
        else:
            self._up = ThrottledDirection(self, client, target, bandwidth)
            self._down = ThrottledDirection(self, target, client, bandwidth)

    def start(
        self, *, up: bytes = b"", down: bytes = b"", early: int = 0, client_ended: bool = False
    ) -> None:
        """Begin.

        Args:
            up: what the client has sent already, for the target.
            early: number of bytes before `up` that the target has received already.
            down: what the client must receive first. It is not the target's, so it is not counted.
            client_ended: the client has sent its end of stream already.
        """
        self._up.transferred = early + len(up)
        self._down.start(down, False)
        self._up.start(up, client_ended)

    @property
    def bytes_up(self) -> int:
        """Bytes from the client to the target."""
        return self._up.transferred

    @property
    def bytes_down(self) -> int:
        """Bytes from the target to the client."""
        return self._down.transferred

    def direction_ended(self) -> None:
        """One direction has ended; the relay ends when both have."""
        if self._up.ended and self._down.ended:
            self._client.close()
            self._target.close()
            self._finish(RelayEnd.CLOSED)
        elif self._half_closed is not None:
            self._half_closed.add(self)

    def check_half_closed(self) -> None:
        """Check whether an end that is no longer read was reset: the loop does not report that."""
        quiet = self._up if self._up.ended else self._down
        if quiet.source.is_lost:
            self.lost(quiet.source)
        elif self._half_closed is not None:
            self._half_closed.add(self)

    def check_unread(self) -> None:
        """Check whether a source that is not read, as its sink has no room, was reset."""
        for direction in (self._up, self._down):
            if direction.blocked and not direction.source.is_read and direction.source.is_lost:
                self.lost(direction.source)
                return

    def suspend_timeouts(self, milliseconds: int) -> None:
        """Suspend the user timeout of an end that is alive but does not read, or restore it."""
        for it in (self._up, self._down):
            if it.acknowledged != it.transferred and suspend_user_timeout(it.sink, milliseconds):
                it.acknowledged = it.transferred

    def lost(self, endpoint: Endpoint) -> None:
        """Reset the other side: `endpoint` was reset, and everything it sent has been delivered."""
        other = self._target if endpoint is self._client else self._client
        endpoint.close()
        other.abort()
        self._finish(RelayEnd.CLIENT_RESET if endpoint is self._client else RelayEnd.TARGET_RESET)

    def sink_lost(self, direction: Direction) -> None:
        """Sending to a sink failed; what its peer sent before must still be delivered."""
        opposite = self._down if direction is self._up else self._up
        opposite.ends_with_reset = True
        if opposite.ended:
            self.lost(direction.sink)

    def stop(self, ending: RelayEnd) -> None:
        """Abort both sides; not for the idle timeout while a bandwidth limit holds bytes back."""
        corked = self._up.is_throttled or self._down.is_throttled
        if self._done is not None and not (ending is RelayEnd.IDLE and corked):
            self._client.abort()
            self._target.abort()
            self._finish(ending)

    def _finish(self, ending: RelayEnd) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if self._half_closed is not None:
            self._half_closed.remove(self)
        self._up.detach()
        self._down.detach()
        done(ending)
