"""Builds the options of sockets: which connections get which of the settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from netjumper.errors import SettingsError
from netjumper.net.congestion_control import chosen, description
from netjumper.net.option_checks import OptionUnavailable, check_dialling, check_listening
from netjumper.net.socket_options import LONG_PATH_LOSS_PROBE_S, SocketOptions
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loaded import Loaded, SettingsT
from netjumper.settings.server import ServerSettings
from netjumper.settings.sockets import SocketSettings


@dataclass(frozen=True, slots=True)
class Sockets:
    """The options of a command's sockets.

    Attributes:
        listening: of listening sockets, and so of the connections accepted there.
        dialling: of connections to the jump server, or to targets.
    """

    listening: SocketOptions
    dialling: SocketOptions


def server_options(settings: ServerSettings) -> Sockets:
    """Return the options for a jump server; those for a long path are for its clients."""
    return Sockets(_long_path(settings), _outgoing(settings, _for_all(settings)))


def bridge_options(settings: BridgeSettings) -> Sockets:
    """Return the options for a bridge; those for a long path are for its jump servers."""
    listening = replace(_for_all(settings), defer_accept=settings.defer_accept)
    return Sockets(listening, _outgoing(settings, _long_path(settings)))


def embedded_options(settings: BridgeSettings) -> SocketOptions:
    """Return the options of connections between a bridge and the jump server in its process."""
    return _for_all(settings)


def describe_long_path(settings: SocketSettings) -> str:
    """Return a line about the congestion control of the long path, for the start messages."""
    return description(chosen(settings.congestion_control))


def _for_all(settings: SocketSettings) -> SocketOptions:
    return SocketOptions(peer_timeout=settings.peer_timeout)


def _long_path(settings: SocketSettings) -> SocketOptions:
    return replace(
        _for_all(settings),
        loss_probe=LONG_PATH_LOSS_PROBE_S,
        congestion_control=chosen(settings.congestion_control),
        fast_open=settings.fast_open,
        mptcp=settings.mptcp,
    )


def _outgoing(settings: SocketSettings, options: SocketOptions) -> SocketOptions:
    return replace(
        options, mark=settings.mark, interface=settings.interface, source=settings.source
    )


def check_options(loaded: Loaded[SettingsT], options: Callable[[SettingsT], Sockets]) -> None:
    """Check that this system supports the options.

    Raises:
        SettingsError: it does not support one.
    """
    sockets = options(loaded.settings)
    try:
        check_listening(sockets.listening)
        check_dialling(sockets.dialling)
    except OptionUnavailable as error:
        raise SettingsError(f"{loaded.origin(error.key)}: {error}") from None
