"""The challenges of a jump server: one that repeats lets a recorded answer be replayed."""

import logging
import threading

from netjumper.addressing.address import Address

MAX_KNOWN_CHALLENGES = 1024
"""Number of challenges that are remembered, to notice one that repeats."""
_LOG = logging.getLogger("netjumper")


class ChallengeHistory:
    """The latest challenges of one jump server; several threads may record some.

    Args:
        jump_host: its address, for the warning.
    """

    def __init__(self, jump_host: Address) -> None:
        self._jump_host = jump_host
        self._lock = threading.Lock()
        self._known: dict[bytes, None] = {}
        self._has_warned = False

    def record(self, challenge: bytes) -> None:
        """Warn, once, if the jump server has sent a challenge before."""
        with self._lock:
            repeats = challenge in self._known and not self._has_warned
            self._has_warned |= repeats
            self._known[challenge] = None
            if len(self._known) > MAX_KNOWN_CHALLENGES:
                del self._known[next(iter(self._known))]
        if repeats:
            _LOG.warning(
                "jump host %s: it sent the same challenge twice; an answer can be replayed there",
                self._jump_host,
            )
