"""The options of the sockets, as the settings ask for them: which connections have which."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from netjumper.errors import SettingsError
from netjumper.net.option_checks import OptionUnavailable, check_dialling, check_listening
from netjumper.net.socket_options import LOSS_PROBE, SocketOptions
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import Loaded, SettingsT
from netjumper.settings.server import ServerSettings
from netjumper.settings.sockets import SocketSettings


@dataclass(frozen=True, slots=True)
class Sockets:
    """The options of a command's sockets.

    Attributes:
        listening: where it accepts connections.
        dialling: its connections to the jump server, or to targets.
    """

    listening: SocketOptions
    dialling: SocketOptions


def server_options(settings: ServerSettings) -> Sockets:
    """Return the options for a jump server: what helps a long path is for those who come in."""
    return Sockets(_long_path(settings), _way_out(settings, _everywhere(settings)))


def bridge_options(settings: BridgeSettings) -> Sockets:
    """Return the options for a bridge: what helps a long path is for the jump server's side."""
    listening = replace(_everywhere(settings), defer_accept=settings.defer_accept)
    return Sockets(listening, _way_out(settings, _long_path(settings)))


def embedded_options(settings: BridgeSettings) -> SocketOptions:
    """Return the options of both ends between a bridge and the jump server in its process."""
    return _everywhere(settings)


def _everywhere(settings: SocketSettings) -> SocketOptions:
    return SocketOptions(peer_timeout=settings.peer_timeout)


def _long_path(settings: SocketSettings) -> SocketOptions:
    return replace(
        _everywhere(settings),
        loss_probe=LOSS_PROBE,
        congestion_control=settings.congestion_control,
        fast_open=settings.fast_open,
        mptcp=settings.mptcp,
    )


def _way_out(settings: SocketSettings, options: SocketOptions) -> SocketOptions:
    return replace(
        options, mark=settings.mark, interface=settings.interface, source=settings.source
    )


def check_options(loaded: Loaded[SettingsT], options: Callable[[SettingsT], Sockets]) -> None:
    """Try whether what is asked for can be had here.

    Raises:
        SettingsError: it cannot.
    """
    sockets = options(loaded.settings)
    try:
        check_listening(sockets.listening)
        check_dialling(sockets.dialling)
    except OptionUnavailable as error:
        raise SettingsError(f"{loaded.origin(error.key)}: {error}") from None
