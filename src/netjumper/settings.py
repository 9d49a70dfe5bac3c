"""The settings of both commands: their keys, types, bounds and defaults.

Only what a value must be is said here, in strict types: text from the environment and from
flags is turned into numbers and lists before it gets here (`netjumper.cli.sources`, which also
knows where each value came from). A secret is a `SecretStr`, and no value is ever repeated in
pydantic's error texts.
"""

import os
from collections.abc import Iterator
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from netjumper.address import Address
from netjumper.errors import NetjumperError
from netjumper.net.listener import ListenAddress
from netjumper.socket_settings import SocketSettings
from netjumper.value_types import (
    Auth,
    Count,
    EarlyDataMode,
    FilePath,
    JumpHosts,
    JumpPolicyName,
    Listen,
    LogFormat,
    LogLevel,
    Rules,
    Secret,
    Switch,
    Timeout,
    TimeoutOrZero,
    Workers,
)

PROBLEM = "netjumper"
"""The pydantic error type of a rule that spans keys; its context has `key` and `problem`."""


class SettingsError(NetjumperError, ValueError):
    """Settings that cannot be used; each argument is one line that says why."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, one readable line each."""
        return tuple(str(line) for line in self.args)


ALL_ADDRESSES = ListenAddress("::", 9527)
DEFAULT_DOORS = {
    "socks": (ListenAddress("127.0.0.1", 1080),),
    "http": (ListenAddress("127.0.0.1", 8118),),
}
"""Where the bridge listens when no listener at all is given."""

OPEN_DOOR = (
    "other machines can use {}; listen on 127.0.0.1, or ask for a password "
    "(--auth-file FILE, NETJUMPER_AUTH)"
)
"""What is wrong with an address of the bridge where nobody is asked for a password."""


class _Settings(SocketSettings):
    """What both commands have."""

    model_config = SettingsConfigDict(
        env_prefix="NETJUMPER_",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
        validate_default=False,
    )
    table: ClassVar[str]
    """The table of the settings file that has these keys."""
    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("secret", "secret_file"),)
    """Pairs of keys of which one can be given; the one from the higher source wins."""
    private: ClassVar[frozenset[str]] = frozenset({"secret", "auth"})
    """Keys whose value may be shown to nobody."""
    unshown: ClassVar[frozenset[str]] = private | {"jump"}
    """Keys whose value may have a secret in it; why it is wrong may be said."""

    secret: Secret = Field(None, description="the secret itself")
    secret_file: FilePath = Field(None, description="a file with the secret, readable by you only")
    idle_timeout: TimeoutOrZero = Field(
        0.0, description="end a tunnel that moved no byte for this long; 0 never does"
    )
    grace_period: TimeoutOrZero = Field(
        10.0, description="wait this long for open tunnels when told to stop"
    )
    workers: Workers = Field(
        1,
        description="processes that serve; parked connections and limits are each one's own",
    )
    log_level: LogLevel = Field("info", description="lowest level to log")
    log_format: LogFormat = Field(
        "auto", description="log format; auto is rich on a terminal and plain elsewhere"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing in silence: the sources are merged by `netjumper.cli.sources`."""
        return (init_settings,)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for key, problem in self._problems():
            raise PydanticCustomError(PROBLEM, "{problem}", {"key": key, "problem": problem})
        return self

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yield (key, what is wrong) for rules that one key alone cannot break."""
        for one, other in self.exclusive:
            if all(getattr(self, key) not in (None, False, ()) for key in (one, other)):
                yield one, f"{other} is given in the same place; leave one of the two out"
        if self.workers > 1 and not hasattr(os, "fork"):
            yield "workers", "there can be only 1 on this system"
        if self._needs_secret:
            if self.secret is None and self.secret_file is None:
                yield (
                    "secret",
                    (
                        "there is none; set NETJUMPER_SECRET or give --secret-file FILE "
                        "(`netjumper keygen` makes a secret)"
                    ),
                )
            if self.secret is not None and not self.secret.get_secret_value().strip():
                yield "secret", "it is empty; `netjumper keygen` makes one"

    @property
    def _needs_secret(self) -> bool:
        return True


class ServerSettings(_Settings):
    """The settings of `netjumper`, the jump server."""

    table: ClassVar[str] = "server"

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

    @property
    def doors(self) -> dict[str, tuple[ListenAddress, ...]]:
        """The listening addresses by the name of their door."""
        return {"netjumper": self.listen, "tls": self.listen_tls}

    @model_validator(mode="before")
    @classmethod
    def _default_listen(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"listen": (), **values} if "listen_tls" in values else values


class BridgeSettings(_Settings):
    """The settings of `netjumper-bridge`."""

    table: ClassVar[str] = "bridge"
    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (
        ("secret", "secret_file"),
        ("auth", "auth_file"),
        ("embedded", "jump"),
    )
    no_jump: ClassVar[str] = (
        "there is no jump server; give --jump HOST:PORT (or --embedded to try it out)"
    )
    """What is said where neither is given."""

    jump: JumpHosts = Field(
        (), description="a jump server's address; repeatable, =WEIGHT behind it is for spread"
    )
    jump_policy: JumpPolicyName = Field(
        "first",
        description="which of several jump servers is used: the first that is not down, the "
        "fastest, or all of them in turn",
    )
    embedded: Switch = Field(
        False,
        description="run a jump server in this process, to try things out; needs no secret",
    )
    socks: Listen = Field(
        (), description="listen there, or at unix:/path, for SOCKS 4, 4a and 5; repeatable"
    )
    http: Listen = Field(
        (), description="listen there, or at unix:/path, for HTTP proxy requests; repeatable"
    )
    mixed: Listen = Field(
        (), description="listen there, or at unix:/path, for both on one port; repeatable"
    )
    ca_file: FilePath = Field(
        None,
        description="a file with the certificate of the authority that jump servers' certificates "
        "are of, for netjumper+tls:// without a pin",
    )
    certificate_file: FilePath = Field(
        None, description="a file with a certificate of ours and its key, for one that asks"
    )
    auth: Auth = Field(None, description="the user and password that programs must give")
    auth_file: FilePath = Field(
        None, description="a file with a line user:password each, readable by you only"
    )
    defer_accept: Switch = Field(
        False,
        description="accept a program's connection when its first bytes are there",
    )
    min_parked: Count = Field(
        1, description="connections to the jump server that wait for a request, at least"
    )
    max_parked: Count = Field(
        128, description="the same, at most; what is asked for decides, and 0 parks none"
    )
    early_data: EarlyDataMode = Field(
        "known",
        description="tell programs at once that their target is reached, and send their first "
        "bytes with its name: never, if known (reached in the last five minutes), or always; one "
        "whose target was not reached after all is reset",
    )
    handshake_timeout: Timeout = Field(
        10.0,
        description="time allowed from accepting a connection until its request is complete",
    )
    dial_timeout: Timeout = Field(
        5.0, description="time allowed for reaching the jump server, looking its name up included"
    )
    jump_timeout: Timeout = Field(
        15.0,
        description="time allowed from connecting to the jump server until the target is reached",
    )

    @property
    def doors(self) -> dict[str, tuple[ListenAddress, ...]]:
        """The listening addresses by the key they are given in."""
        return {"socks": self.socks, "http": self.http, "mixed": self.mixed}

    @model_validator(mode="before")
    @classmethod
    def _default_doors(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.keys() & {"socks", "http", "mixed"}:
            return values
        return {**values, **DEFAULT_DOORS}

    def _problems(self) -> Iterator[tuple[str, str]]:
        if not self.embedded and not self.jump:
            yield "jump", self.no_jump
        yield from super()._problems()
        yield from self._jump_problems()
        if self.auth is not None and not all(self.auth.get_secret_value().partition(":")):
            yield "auth", "expected user:password"
        if self.max_parked and self.min_parked > self.max_parked:
            yield "min_parked", f"{self.min_parked} is more than max_parked, {self.max_parked}"
        if self.embedded and self.workers > 1:
            yield "workers", "with embedded there is one process; leave one of the two out"
        if not any(self.doors.values()):
            yield "socks", "there is nothing to listen on; give socks, http or mixed"
        if self.auth is None and self.auth_file is None:
            yield from self._open_doors()

    def _jump_problems(self) -> Iterator[tuple[str, str]]:
        seen: set[Address] = set()
        for choice in self.jump:
            if choice.address in seen:
                yield "jump", f"{choice.address} is given twice"
            seen.add(choice.address)
            if choice.weight != 1 and self.jump_policy != "spread":
                yield "jump", f"{choice.address} has a weight; that is for jump_policy spread"

    def _open_doors(self) -> Iterator[tuple[str, str]]:
        for key, addresses in self.doors.items():
            for address in addresses:
                if not address.is_local:
                    yield key, OPEN_DOOR.format(address)

    @property
    def _needs_secret(self) -> bool:
        return not self.embedded and not (self.jump and all(it.secret for it in self.jump))
