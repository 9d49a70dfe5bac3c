"""One connection that a request was sent on, and what the kernel shows of it."""

from collections.abc import Sequence
from typing import NamedTuple

from netjumper.bridge.upstream.pool import ConnectionPool
from netjumper.client.jump_host import JumpConnection
from netjumper.errors import NetjumperError


class Attempt(NamedTuple):
    """One connection that the request was sent on."""

    jump_host: ConnectionPool
    since: float
    """When the attempt began, in seconds of the loop's clock."""
    parked: float | None
    """Seconds that the connection was parked; None if it was dialled for this request."""
    has_early_data: bool
    """The early data of the request is sent on it, too."""


def was_acknowledged(connection: JumpConnection) -> bool:
    """Return whether the jump server has received the request: then only the target is slow."""
    info = connection.info
    return connection.is_authenticated and info is not None and not info.unacknowledged


def is_lost(connection: JumpConnection) -> bool:
    """Return whether the jump server has not received what was sent, as the kernel shows.

    Time alone does not show it: a look-up or a dial at the other end can take as long.
    """
    info = connection.info
    return connection.peer is None if info is None else info.unacknowledged > 0


def combined_error(errors: Sequence[NetjumperError]) -> NetjumperError | None:
    """Return the first error; if there are several, it says that all jump hosts failed."""
    if not errors:
        return None
    first = errors[0]
    if len(errors) > 1:
        first.args = (f"none of {len(errors)} jump hosts can be used; {first}",)
    return first
