"""The settings of `netjumper`, the jump server."""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field, model_validator

from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import CLEAR, SERVER_LISTENERS, TLS, ListenerKind
from netjumper.settings.common import CommonSettings
from netjumper.settings.types import (
    Bandwidth,
    Count,
    FilePath,
    Listen,
    Rules,
    Timeout,
    TimeoutOrZero,
)

RELOADABLE = frozenset(
    {
        *("secret", "secret_file", "clients_file", "certificate_file", "client_ca_file"),
        *("allow", "deny", "bandwidth", "bandwidth_per_client", "log_level"),
        *("max_tunnels", "max_tunnels_per_client", "max_tunnels_per_source"),
        *("max_unauthenticated", "max_auth_failures", "ban_time"),
    }
)
"""The keys that a server takes anew while it serves."""
ALL_ADDRESSES = ListenAddress("::", 9527)


class ServerSettings(CommonSettings):
    """The settings of `netjumper`, the jump server."""

    table: ClassVar[str] = "server"
    listener_kinds: ClassVar[tuple[ListenerKind, ...]] = SERVER_LISTENERS

    listen: Listen = Field(
        (ALL_ADDRESSES,),
        description="listen there, or at unix:/path, for bridges and clients; repeatable",
    )
    listen_tls: Listen = Field(
        (),
        description="listen there with TLS: by the secret, unless there is certificate_file; "
        "repeatable",
    )
    certificate_file: FilePath = Field(
        None, description="a file with the certificate to show, and its key"
    )
    client_ca_file: FilePath = Field(
        None,
        description="a file with the certificate of the authority that clients must have one of",
    )
    clients_file: FilePath = Field(
        None,
        description="a TOML file with a table for each client, readable by you only "
        "(docs/clients.md)",
    )
    handshake_timeout: Timeout = Field(
        10.0, description="time allowed from accepting a connection until its target is named"
    )
    dial_timeout: Timeout = Field(
        5.0, description="time allowed for reaching a target, looking its name up included"
    )
    parked_timeout: TimeoutOrZero = Field(
        300.0,
        description="time allowed to a client that has proved its secret for naming a target; "
        "0 gives it no more than handshake_timeout",
    )
    max_parked_per_client: Count = Field(
        256, description="connections that a client, by its address, may have waiting so"
    )

    max_tunnels: Count = Field(10_000, description="tunnels at a time; 0 is no limit")
    max_tunnels_per_client: Count = Field(
        5_000, description="the same of one client, by its name; 0 is no limit"
    )
    max_tunnels_per_source: Count = Field(
        5_000,
        description="the same from one IPv4 address or IPv6 network of 64 bits; 0 is no limit",
    )
    max_unauthenticated: Count = Field(
        1_000,
        description="connections that have not proved yet that they know a secret; one more takes "
        "the place of one from where many come or nobody has come in yet; 0 is no limit",
    )
    max_auth_failures: Count = Field(
        10,
        description="wrong answers within an hour after which their address is shut out; 0 shuts "
        "none out",
    )
    ban_time: Timeout = Field(
        60.0, description="for how long, the first time; twice as long each time, up to 600 s"
    )
    bandwidth: Bandwidth = Field(
        0.0,
        description="megabits a second that all tunnels move together, both ways; 0 is no limit",
    )
    bandwidth_per_client: Bandwidth = Field(
        0.0, description="the same for one client, by its name; 0 is no limit"
    )
    allow: Rules = Field(
        (),
        description="lead there though it is refused by default (NETWORK, or :PORT for 25), or by "
        "deny *; repeatable",
    )
    deny: Rules = Field(
        (),
        description="never lead there (NETWORK, NAME, .NAME for all below it, with or without "
        ":PORT; * is all that allow does not name); repeatable",
    )

    @property
    def _needs_secret(self) -> bool:
        return self.clients_file is None

    def _problems(self) -> Iterator[tuple[str, str]]:
        yield from super()._problems()
        if not self.listen and not self.listen_tls:
            yield "listen", "there is no address to listen on"
        if self.client_ca_file is not None and self.certificate_file is None:
            yield "client_ca_file", "who asks clients for a certificate shows one: certificate_file"
        if any(rule.is_everything for rule in self.allow):
            yield (
                "allow",
                (
                    "* opens nothing that is refused by default; name networks, "
                    "such as 192.168.1.0/24"
                ),
            )

    @model_validator(mode="before")
    @classmethod
    def _default_listen(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {CLEAR.key: (), **values} if TLS.key in values else values


class RunningServer(ServerSettings):
    """The settings for speaking with a jump server that runs: the secret is its own affair."""

    @property
    def _needs_secret(self) -> bool:
        return False
