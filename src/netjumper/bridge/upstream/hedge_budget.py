"""The budget for hedged requests: a token bucket that counts requests, not time."""

HEDGE_RATIO = 0.1
"""Share of the requests that may be sent on a second connection because the answer is late."""
HEDGE_BURST = 10.0
"""Hedged requests that may follow each other without a pause."""


class HedgeBudget:
    """Limits how many requests are hedged, so that hedging cannot double the load."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = HEDGE_BURST
        """Hedged requests that are allowed now."""

    def record_request(self) -> None:
        """Record a request, which adds to the budget."""
        self.tokens = min(self.tokens + HEDGE_RATIO, HEDGE_BURST)

    def may_hedge(self) -> bool:
        """Return whether a request may be hedged, and take it from the budget."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
