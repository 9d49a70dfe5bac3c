"""What a service as a process takes from the settings."""

from netjumper.daemon.startup import DaemonOptions
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loaded import AnyLoaded

DESCRIPTORS_PER_TUNNEL = 2
"""Descriptors that a tunnel takes in a process: a connection to each side."""


def daemon_options(loaded: AnyLoaded) -> DaemonOptions:
    """Return the options of the process that serves with these settings."""
    settings = loaded.settings
    # The embedded jump server has two descriptors of its own for each tunnel.
    embedded = isinstance(settings, BridgeSettings) and settings.embedded
    return DaemonOptions(
        log_level=settings.log_level,
        log_format=settings.log_format,
        grace_period=settings.grace_period,
        workers=settings.workers,
        descriptors_per_tunnel=DESCRIPTORS_PER_TUNNEL * (2 if embedded else 1),
        origin=loaded.origin,
        warnings=loaded.warnings,
    )
