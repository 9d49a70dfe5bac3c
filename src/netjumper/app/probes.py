"""Builds probes of the jump hosts that the settings name."""

from netjumper.app.jump_hosts import known_hosts
from netjumper.app.socket_options import bridge_options, check_options
from netjumper.diagnostics.probe import Probe
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loaded import Loaded


def probes_of(loaded: Loaded[BridgeSettings]) -> list[Probe]:
    """Return a probe of each jump host; none with `embedded`.

    Raises:
        SettingsError: a file cannot be used.
    """
    settings = loaded.settings
    check_options(loaded, bridge_options)
    options = bridge_options(settings).dialling
    return [
        Probe(
            host.address,
            host.secret,
            lookup_timeout=settings.lookup_timeout,
            dial_timeout=settings.dial_timeout,
            jump_timeout=settings.jump_timeout,
            options=options,
            encryption=host.encryption,
        )
        for host in known_hosts(loaded)[1]
    ]
