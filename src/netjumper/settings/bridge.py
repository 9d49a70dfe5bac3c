"""The settings of `netjumper-bridge`."""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field, model_validator

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import BRIDGE_LISTENERS, HTTP, SOCKS, ListenerKind
from netjumper.settings.common import CommonSettings
from netjumper.settings.types import (
    Auth,
    Count,
    EarlyDataMode,
    FilePath,
    JumpHosts,
    JumpPolicyName,
    Listen,
    Switch,
    Timeout,
)

DEFAULT_LISTENERS = {
    SOCKS.key: (ListenAddress("127.0.0.1", 1080),),
    HTTP.key: (ListenAddress("127.0.0.1", 8118),),
}
"""Where the bridge listens when no listener at all is given."""

UNPROTECTED_LISTENER = (
    "other machines can use {}; listen on 127.0.0.1, or ask for a password "
    "(--auth-file FILE, NETJUMPER_AUTH)"
)
"""What is wrong with an address of the bridge where nobody is asked for a password."""


class BridgeSettings(CommonSettings):
    """The settings of `netjumper-bridge`."""

    table: ClassVar[str] = "bridge"
    listener_kinds: ClassVar[tuple[ListenerKind, ...]] = BRIDGE_LISTENERS
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

    @model_validator(mode="before")
    @classmethod
    def _default_listeners(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.keys() & {it.key for it in BRIDGE_LISTENERS}:
            return values
        return {**values, **DEFAULT_LISTENERS}

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
        if not any(self.listeners.values()):
            yield "socks", "there is nothing to listen on; give socks, http or mixed"
        if self.auth is None and self.auth_file is None:
            yield from self._unprotected_listeners()

    def _jump_problems(self) -> Iterator[tuple[str, str]]:
        seen: set[Address] = set()
        for choice in self.jump:
            if choice.address in seen:
                yield "jump", f"{choice.address} is given twice"
            seen.add(choice.address)
            if choice.weight != 1 and self.jump_policy != "spread":
                yield "jump", f"{choice.address} has a weight; that is for jump_policy spread"

    def _unprotected_listeners(self) -> Iterator[tuple[str, str]]:
        for kind in BRIDGE_LISTENERS:
            for address in self.listeners[kind.name]:
                if not address.is_local:
                    yield kind.key, UNPROTECTED_LISTENER.format(address)

    @property
    def _needs_secret(self) -> bool:
        return not self.embedded and not (self.jump and all(it.secret for it in self.jump))


class Unopened(BridgeSettings):
    """The settings for what uses the bridge's way out and opens none of its doors."""

    no_jump: ClassVar[str] = "there is no jump server; give --jump HOST:PORT"

    def _unprotected_listeners(self) -> Iterator[tuple[str, str]]:
        return iter(())


class RunningBridge(Unopened):
    """The settings for speaking with a bridge that runs: those of its way out may be missing."""

    def _problems(self) -> Iterator[tuple[str, str]]:
        for key, problem in super()._problems():
            if key != "jump":
                yield key, problem

    @property
    def _needs_secret(self) -> bool:
        return False
