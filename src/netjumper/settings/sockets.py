"""The settings of sockets, which both commands have; `docs/sockets.md` says when each helps."""

from pydantic import Field
from pydantic_settings import BaseSettings

from netjumper.settings.types import Mark, Name, PeerTimeout, Sources, Switch


class SocketSettings(BaseSettings):
    """What is asked of TCP sockets; `netjumper.app.socket_options` says of which."""

    peer_timeout: PeerTimeout = Field(
        30.0,
        description="end a connection whose other machine vanished after this long; 0 leaves it "
        "to the system",
    )
    congestion_control: Name = Field(
        "",
        description="the congestion control, such as bbr, between bridge and jump server; empty is "
        "the system's",
    )
    fast_open: Switch = Field(
        False,
        description="TCP Fast Open between bridge and jump server, a round trip less for each "
        "connection; both need it",
    )
    mptcp: Switch = Field(
        False, description="Multipath TCP between bridge and jump server; both need it"
    )
    mark: Mark = Field(
        0, description="the firewall mark (SO_MARK) of connections that are dialled; 0 is none"
    )
    interface: Name = Field(
        "", description="the network interface that connections are dialled on, whatever the routes"
    )
    source: Sources = Field(
        (), description="the address that connections are dialled from; twice for both families"
    )
