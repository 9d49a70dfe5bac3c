"""What a service as a process takes from its settings, and the start of logging."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netjumper.logs.handler import set_up_logging
from netjumper.logs.terminal import RichFormatter

_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """The settings of a service as a process.

    Attributes:
        log_level: the lowest level that is logged.
        log_format: how log lines are written.
        grace_period: seconds that open tunnels have to end after the first signal.
        workers: the number of processes that serve.
        descriptors_per_tunnel: how many descriptors a tunnel takes in a process.
        origin: returns where a setting's value came from, given its key, for messages.
        warnings: lines to log at the start.
    """

    log_level: str
    log_format: str
    grace_period: float
    workers: int
    descriptors_per_tunnel: int
    origin: Callable[[str], str]
    warnings: Sequence[str] = ()


def begin(options: DaemonOptions) -> RichFormatter | None:
    """Set up logging and log the warnings; return the formatter of a terminal, if it is one."""
    rich = set_up_logging(options.log_level, options.log_format)
    for warning in options.warnings:
        _LOG.warning("%s", warning)
    return rich
