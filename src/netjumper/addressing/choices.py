"""The choices of settings; the code that uses one says what it does."""

from enum import StrEnum


class JumpPolicy(StrEnum):
    """Which of several jump hosts a request uses."""

    FIRST = "first"
    """The first jump host that is not down."""
    FASTEST = "fastest"
    """The jump host with the lowest latency."""
    SPREAD = "spread"
    """Each jump host in turn, by weight."""


class EarlyData(StrEnum):
    """When success is reported to a client before the jump server has reported it."""

    NEVER = "never"
    KNOWN = "known"
    """If the target was reached a short while ago."""
    ALWAYS = "always"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines are written."""

    AUTO = "auto"
    """Rich on a terminal, plain elsewhere."""
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"
