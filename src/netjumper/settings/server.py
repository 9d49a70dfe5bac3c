"""The settings of `netjumper`, the jump server."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import model_validator

from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import CLEAR, SERVER_LISTENERS, TLS, ListenerKind
from netjumper.settings.common import CommonSettings
from netjumper.settings.option import Command, Group, Option
from netjumper.settings.types import (
    Bandwidth,
    Count,
    FilePath,
    Listen,
    Nat64Prefixes,
    Rules,
    Timeout,
    TimeoutOrZero,
)

ALL_ADDRESSES = ListenAddress("::", 9527)
"""Where the server listens by default."""


class ServerSettings(CommonSettings):
    """The settings of `netjumper`, the jump server."""

    table: ClassVar[str] = "server"
    command: ClassVar[Command] = Command.SERVER
    can_reload: ClassVar[bool] = True
    listener_kinds: ClassVar[tuple[ListenerKind, ...]] = SERVER_LISTENERS

    listen: Annotated[
        Listen,
        Option(
            Group.LISTENING,
            "accept bridges and clients at HOST:PORT or unix:/path; repeatable",
            (Command.SHARE, Command.SERVER_HEALTHCHECK),
            default="[::]:9527, unless listen_tls is given",
        ),
    ] = (ALL_ADDRESSES,)
    listen_tls: Annotated[
        Listen,
        Option(
            Group.LISTENING,
            "accept them with TLS, which uses the secret unless certificate_file is given; "
            "repeatable",
            (Command.SHARE, Command.SERVER_HEALTHCHECK),
        ),
    ] = ()
    client_ca_file: Annotated[
        FilePath,
        Option(
            Group.TLS,
            "PEM file with the CA certificate that must have issued the certificates of clients",
            (Command.SHARE,),
            reloadable=True,
        ),
    ] = None
    clients_file: Annotated[
        FilePath,
        Option(
            Group.AUTHENTICATION,
            "TOML file with a table for each client, readable only by its owner (docs/clients.md)",
            (Command.SHARE,),
            reloadable=True,
        ),
    ] = None
    handshake_timeout: Annotated[
        Timeout,
        Option(
            Group.TIMEOUTS,
            "maximum time from accepting a connection until the client names its target",
        ),
    ] = 10.0
    dial_timeout: Annotated[
        Timeout,
        Option(
            Group.TIMEOUTS,
            "maximum time to connect to a target, after the name lookup",
            (Command.SERVER_HEALTHCHECK,),
        ),
    ] = 5.0
    lookup_timeout: Annotated[
        Timeout,
        Option(Group.TIMEOUTS, "maximum time to look up the name of a target"),
    ] = 15.0
    parked_timeout: Annotated[
        TimeoutOrZero,
        Option(
            Group.TIMEOUTS,
            "maximum time that an authenticated client may leave a connection parked before it "
            "names a target; 0 allows no more than handshake_timeout",
        ),
    ] = 300.0
    max_parked_per_client: Annotated[
        Count,
        Option(
            Group.LIMITS,
            "maximum number of parked connections from one client address",
        ),
    ] = 256
    max_tunnels: Annotated[
        Count,
        Option(
            Group.LIMITS,
            "maximum number of simultaneous tunnels; 0 means no limit",
            reloadable=True,
        ),
    ] = 10_000
    max_tunnels_per_client: Annotated[
        Count,
        Option(
            Group.LIMITS,
            "maximum number of simultaneous tunnels per client, by its name; 0 means no limit",
            reloadable=True,
        ),
    ] = 5_000
    max_tunnels_per_source: Annotated[
        Count,
        Option(
            Group.LIMITS,
            "maximum number of simultaneous tunnels per IPv4 address or IPv6 /64 network; "
            "0 means no limit",
            reloadable=True,
        ),
    ] = 5_000
    max_unauthenticated: Annotated[
        Count,
        Option(
            Group.LIMITS,
            "maximum number of unauthenticated connections; one more replaces one from a source "
            "that has many, or that has never authenticated; 0 means no limit",
            reloadable=True,
        ),
    ] = 1_000
    bandwidth: Annotated[
        Bandwidth,
        Option(
            Group.LIMITS,
            "bandwidth of all tunnels together, both directions added; 0 means no limit",
            reloadable=True,
        ),
    ] = 0.0
    bandwidth_per_client: Annotated[
        Bandwidth,
        Option(
            Group.LIMITS,
            "bandwidth of all tunnels of one client, by its name, both directions added; "
            "0 means no limit",
            reloadable=True,
        ),
    ] = 0.0
    allow: Annotated[
        Rules,
        Option(
            Group.TARGETS,
            "permit targets that are refused by default (NETWORK, or :PORT for port 25) or by "
            "deny *; repeatable",
            reloadable=True,
        ),
    ] = ()
    deny: Annotated[
        Rules,
        Option(
            Group.TARGETS,
            "refuse targets: NETWORK, NAME, .NAME for a domain and its subdomains, each with or "
            "without :PORT; * is every target that allow does not name; repeatable",
            reloadable=True,
        ),
    ] = ()

    nat64_prefix: Annotated[
        Nat64Prefixes,
        Option(
            Group.TARGETS,
            "prefix of the NAT64 gateway of this network, if it is not 64:ff9b::/96; access rules "
            "apply to the IPv4 address behind it; repeatable",
            reloadable=True,
        ),
    ] = ()

    @property
    def _needs_secret(self) -> bool:
        return self.clients_file is None

    def _problems(self) -> Iterator[tuple[str, str]]:
        yield from super()._problems()
        if not self.listen and not self.listen_tls:
            yield "listen", "no address to listen on"
        if self.client_ca_file is not None and self.certificate_file is None:
            yield "client_ca_file", "client_ca_file requires certificate_file"
        if any(rule.is_everything for rule in self.allow):
            yield (
                "allow",
                (
                    "* permits nothing that is refused by default; name networks, "
                    "such as 192.168.1.0/24"
                ),
            )

    @model_validator(mode="before")
    @classmethod
    def _default_listen(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {CLEAR.key: (), **values} if TLS.key in values else values


class RunningServer(ServerSettings):
    """The settings to reach a jump server that is already running, which needs no secret."""

    @property
    def _needs_secret(self) -> bool:
        return False
