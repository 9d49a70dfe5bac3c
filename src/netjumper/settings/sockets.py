"""The settings of sockets, which both commands have; `docs/sockets.md` says when each helps."""

from typing import Annotated

from pydantic_settings import BaseSettings

from netjumper.settings.option import Command, Group, Option
from netjumper.settings.types import Mark, Name, PeerTimeout, Sources, Switch

_ALSO = (Command.BRIDGE_HEALTHCHECK, Command.DOCTOR)


class SocketSettings(BaseSettings):
    """The options of TCP sockets; `netjumper.app.socket_options` says which sockets get them."""

    peer_timeout: Annotated[
        PeerTimeout,
        Option(
            Group.SOCKETS,
            "close a connection whose peer is unreachable for this long; 0 uses the system default",
            _ALSO,
        ),
    ] = 30.0
    congestion_control: Annotated[
        Name,
        Option(
            Group.SOCKETS,
            "TCP congestion control between bridge and jump server; auto is bbr if this process "
            "can use it, and else the system default, as empty is",
            _ALSO,
        ),
    ] = "auto"
    fast_open: Annotated[
        Switch,
        Option(
            Group.SOCKETS,
            "TCP Fast Open between bridge and jump server, which saves a round trip per "
            "connection; both must enable it",
            _ALSO,
        ),
    ] = False
    mptcp: Annotated[
        Switch,
        Option(
            Group.SOCKETS,
            "Multipath TCP between bridge and jump server; both must enable it",
            _ALSO,
        ),
    ] = False
    mark: Annotated[
        Mark,
        Option(Group.SOCKETS, "firewall mark (SO_MARK) of outgoing connections; 0 is none", _ALSO),
    ] = 0
    interface: Annotated[
        Name,
        Option(
            Group.SOCKETS,
            "network interface of outgoing connections, regardless of routes",
            _ALSO,
        ),
    ] = ""
    source: Annotated[
        Sources,
        Option(
            Group.SOCKETS,
            "source address of outgoing connections; give once per address family",
            _ALSO,
        ),
    ] = ()
