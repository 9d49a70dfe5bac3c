"""The words to choose from in settings; what each means is in the code that acts on it."""

from enum import StrEnum


class JumpPolicy(StrEnum):
    """Which of several jump hosts a request uses."""

    FIRST = "first"
    """The first that is not down."""
    FASTEST = "fastest"
    """The one with the lowest latency."""
    SPREAD = "spread"
    """Each in turn, by weight."""


class EarlyData(StrEnum):
    """When a program is told that its target is reached before the jump server has said so."""

    NEVER = "never"
    KNOWN = "known"
    """When the target was reached a short while ago."""
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
