"""The service manager's sockets instead of the addresses of the settings."""

import os
import socket

from netjumper.daemon.socket_activation import InheritError, inherited_sockets
from netjumper.errors import SettingsError
from netjumper.net.listening_sockets import bound_address
from netjumper.server.jump_server import SERVER_DOORS
from netjumper.settings.bridge import OPEN_DOOR, BridgeSettings
from netjumper.settings.loader import Loaded, SettingsT
from netjumper.settings.server import ServerSettings
from netjumper.text import quoted

Doors = dict[str, list[socket.socket]]
"""Inherited sockets by the name of the door that each becomes."""


def server_sockets(loaded: Loaded[ServerSettings]) -> tuple[Loaded[ServerSettings], Doors]:
    """Return the sockets that the jump server inherits; one with the name `tls` is for TLS.

    Returns:
        The settings, with a warning where they give an address that is not used then.

    Raises:
        SettingsError: one of them is of no use.
    """
    doors: Doors = {}
    for name, sock in _inherited():
        doors.setdefault(name if name in SERVER_DOORS else SERVER_DOORS[0], []).append(sock)
    return (_unused(loaded, "listen", "listen_tls") if doors else loaded), doors


def bridge_sockets(
    loaded: Loaded[BridgeSettings], *, password: bool
) -> tuple[Loaded[BridgeSettings], Doors]:
    """Return the sockets that the bridge inherits, by the name of the door that each becomes.

    Args:
        loaded: the settings.
        password: programs must give one; otherwise only this machine may reach a socket.

    Returns:
        The settings, with a warning for each address that is not used then.

    Raises:
        SettingsError: one of them is of no use, has no door's name, or lets everybody in.
    """
    doors: Doors = {}
    names = tuple(loaded.settings.doors)
    for name, sock in _inherited():
        if name not in names:
            raise SettingsError(
                f"the inherited socket {quoted(name)} is no door of the bridge; "
                f"write FileDescriptorName= with {', '.join(names[:-1])} or {names[-1]}"
            )
        address = bound_address(sock)
        if not password and not address.is_local:
            raise SettingsError(f"the inherited socket {name}: {OPEN_DOOR.format(address)}")
        doors.setdefault(name, []).append(sock)
    return (_unused(loaded, *names) if doors else loaded), doors


def _inherited() -> list[tuple[str, socket.socket]]:
    try:
        return inherited_sockets(os.environ)
    except InheritError as error:
        raise SettingsError(str(error)) from None


def _unused(loaded: Loaded[SettingsT], *keys: str) -> Loaded[SettingsT]:
    for key in keys:
        if key in loaded.origins:
            loaded = loaded.with_warning(
                f"{loaded.origins[key]}: not used, as the service manager opens the sockets"
            )
    return loaded
