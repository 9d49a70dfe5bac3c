"""Uses the service manager's sockets instead of the addresses of the settings."""

import os
import socket

from netjumper.addressing.listeners import BRIDGE_LISTENERS, CLEAR, SERVER_LISTENERS
from netjumper.daemon.socket_activation import InheritError, inherited_sockets
from netjumper.errors import SettingsError
from netjumper.net.listening_sockets import bound_address
from netjumper.settings.bridge import UNPROTECTED_LISTENER, BridgeSettings
from netjumper.settings.loaded import Loaded, SettingsT
from netjumper.settings.server import ServerSettings
from netjumper.text import quoted

InheritedSockets = dict[str, list[socket.socket]]
"""Inherited sockets by the name of the listener that each becomes."""


def server_sockets(
    loaded: Loaded[ServerSettings],
) -> tuple[Loaded[ServerSettings], InheritedSockets]:
    """Return the sockets that the jump server inherits; one with the name `tls` is for TLS.

    Returns:
        The settings, with a warning for each address that is then unused, and the sockets.

    Raises:
        SettingsError: a socket cannot be used.
    """
    sockets: InheritedSockets = {}
    names = [it.name for it in SERVER_LISTENERS]
    for name, sock in _inherited():
        sockets.setdefault(name if name in names else CLEAR.name, []).append(sock)
    return (_unused(loaded) if sockets else loaded), sockets


def bridge_sockets(
    loaded: Loaded[BridgeSettings], *, password: bool
) -> tuple[Loaded[BridgeSettings], InheritedSockets]:
    """Return the sockets that the bridge inherits.

    Args:
        loaded: the settings.
        password: whether clients must give one; if not, other machines must not reach a socket.

    Returns:
        The settings, with a warning for each address that is then unused, and the sockets.

    Raises:
        SettingsError: a socket cannot be used, its name is not a listener's, or other machines can
            use the bridge through it without a password.
    """
    sockets: InheritedSockets = {}
    names = [it.name for it in BRIDGE_LISTENERS]
    for name, sock in _inherited():
        if name not in names:
            raise SettingsError(
                f"inherited socket {quoted(name)} is not a listener of the bridge; "
                f"set FileDescriptorName= to {', '.join(names[:-1])} or {names[-1]}"
            )
        address = bound_address(sock)
        if not password and not address.is_local:
            raise SettingsError(f"inherited socket {name}: {UNPROTECTED_LISTENER.format(address)}")
        sockets.setdefault(name, []).append(sock)
    return (_unused(loaded) if sockets else loaded), sockets


def _inherited() -> list[tuple[str, socket.socket]]:
    try:
        return inherited_sockets(os.environ)
    except InheritError as error:
        raise SettingsError(str(error)) from None


def _unused(loaded: Loaded[SettingsT]) -> Loaded[SettingsT]:
    for key in (it.key for it in loaded.settings.listener_kinds):
        if key in loaded.origins:
            loaded = loaded.with_warning(
                f"{loaded.origins[key]}: unused, since the service manager opens the sockets"
            )
    return loaded
