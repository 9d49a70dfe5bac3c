"""The settings of `netjumper-bridge`."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import model_validator

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData, JumpPolicy
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import BRIDGE_LISTENERS, HTTP, SOCKS, ListenerKind
from netjumper.settings.common import CommonSettings
from netjumper.settings.option import Command, Group, Option
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
"""Where the bridge listens if no listener is given."""

UNPROTECTED_LISTENER = (
    "{} is reachable from other machines; bind 127.0.0.1 or set --auth-file FILE or NETJUMPER_AUTH"
)
"""What is wrong with an address of a bridge that asks for no password."""

_UPSTREAM = (Command.EXEC, Command.BRIDGE_HEALTHCHECK, Command.DOCTOR)
"""The sub-commands that connect to the jump server."""
_LISTENING = (Command.ENV, Command.BRIDGE_HEALTHCHECK)
"""The sub-commands that use the addresses of a running bridge."""


class BridgeSettings(CommonSettings):
    """The settings of `netjumper-bridge`."""

    table: ClassVar[str] = "bridge"
    command: ClassVar[Command] = Command.BRIDGE
    listener_kinds: ClassVar[tuple[ListenerKind, ...]] = BRIDGE_LISTENERS
    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (
        ("secret", "secret_file"),
        ("auth", "auth_file"),
        ("embedded", "jump"),
    )
    no_jump: ClassVar[str] = "no jump server given; set --jump HOST:PORT (or --embedded to try it)"
    """The message if neither a jump server nor `embedded` is given."""

    jump: Annotated[
        JumpHosts,
        Option(
            Group.JUMP_SERVER,
            "address of a jump server; repeatable; append =WEIGHT for --jump-policy spread",
            _UPSTREAM,
        ),
    ] = ()
    jump_policy: Annotated[
        JumpPolicyName,
        Option(
            Group.JUMP_SERVER,
            "which of several jump servers to use: the first that is up, the fastest, or all in "
            "turn by weight",
            (Command.EXEC,),
        ),
    ] = JumpPolicy.FIRST
    embedded: Annotated[
        Switch,
        Option(
            Group.JUMP_SERVER,
            "run a jump server in this process, to try things out; needs no secret",
            (Command.EXEC, Command.BRIDGE_HEALTHCHECK),
        ),
    ] = False
    socks: Annotated[
        Listen,
        Option(
            Group.LISTENING,
            "accept SOCKS 4, 4a and 5 at HOST:PORT or unix:/path; repeatable",
            _LISTENING,
            default="127.0.0.1:1080, if no listener is given",
        ),
    ] = ()
    http: Annotated[
        Listen,
        Option(
            Group.LISTENING,
            "accept HTTP proxy requests at HOST:PORT or unix:/path; repeatable",
            _LISTENING,
            default="127.0.0.1:8118, if no listener is given",
        ),
    ] = ()
    mixed: Annotated[
        Listen,
        Option(
            Group.LISTENING,
            "accept both protocols at HOST:PORT or unix:/path; repeatable",
            _LISTENING,
        ),
    ] = ()
    ca_file: Annotated[
        FilePath,
        Option(
            Group.TLS,
            "PEM file with the CA certificate that must have issued the certificates of jump "
            "servers, for netjumper+tls:// without a pin",
            _UPSTREAM,
        ),
    ] = None
    auth: Annotated[
        Auth,
        Option(
            Group.AUTHENTICATION,
            "the user and password that clients of the bridge must give; every user of this "
            "machine can read it on a command line, so prefer auth_file",
            (Command.EXEC, Command.ENV),
        ),
    ] = None
    auth_file: Annotated[
        FilePath,
        Option(
            Group.AUTHENTICATION,
            "file with a line user:password for each user of the bridge, readable only by its "
            "owner",
            (Command.EXEC, Command.ENV),
        ),
    ] = None
    defer_accept: Annotated[
        Switch,
        Option(
            Group.SOCKETS,
            "accept a connection of a client only when its first bytes have arrived",
        ),
    ] = False
    min_parked: Annotated[
        Count,
        Option(
            Group.PARKING,
            "minimum number of parked connections to each jump server",
        ),
    ] = 1
    max_parked: Annotated[
        Count,
        Option(
            Group.PARKING,
            "maximum number of parked connections to each jump server; 0 disables parking",
        ),
    ] = 128
    early_data: Annotated[
        EarlyDataMode,
        Option(
            Group.EARLY_DATA,
            "when to report a target as reached before the jump server confirms it, so that the "
            "first bytes of the client travel with the request: never, known (if it was reached "
            "in the last five minutes) or always; if the target then fails, the connection of the "
            "client is reset",
        ),
    ] = EarlyData.KNOWN
    handshake_timeout: Annotated[
        Timeout,
        Option(
            Group.TIMEOUTS,
            "maximum time from accepting a connection until its request is complete",
            (Command.EXEC,),
        ),
    ] = 10.0
    dial_timeout: Annotated[
        Timeout,
        Option(
            Group.TIMEOUTS,
            "maximum time to connect to the jump server, after the name lookup",
            _UPSTREAM,
        ),
    ] = 5.0
    lookup_timeout: Annotated[
        Timeout,
        Option(Group.TIMEOUTS, "maximum time to look up the name of the jump server", _UPSTREAM),
    ] = 15.0
    jump_timeout: Annotated[
        Timeout,
        Option(
            Group.TIMEOUTS,
            "maximum time from connecting to the jump server until it confirms the target; more "
            "than the jump server has to look the target up and to connect to it",
            _UPSTREAM,
        ),
    ] = 25.0

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
            yield "workers", "embedded allows only 1 worker; remove one of the two settings"
        if not any(self.listeners.values()):
            yield "socks", "no address to listen on; set socks, http or mixed"
        if self.auth is None and self.auth_file is None:
            yield from self._unprotected_listeners()

    def _jump_problems(self) -> Iterator[tuple[str, str]]:
        seen: set[Address] = set()
        for choice in self.jump:
            if choice.address in seen:
                yield "jump", f"{choice.address} is given twice"
            seen.add(choice.address)
            if choice.weight != 1 and self.jump_policy is not JumpPolicy.SPREAD:
                yield "jump", f"{choice.address} has a weight, which requires jump_policy spread"

    def _unprotected_listeners(self) -> Iterator[tuple[str, str]]:
        for kind in BRIDGE_LISTENERS:
            for address in self.listeners[kind.name]:
                if not address.is_local:
                    yield kind.key, UNPROTECTED_LISTENER.format(address)

    @property
    def _needs_secret(self) -> bool:
        return not self.embedded and not (self.jump and all(it.secret for it in self.jump))


class UpstreamSettings(BridgeSettings):
    """The settings to connect to the jump servers of a bridge without listening."""

    no_jump: ClassVar[str] = "no jump server given; set --jump HOST:PORT"

    def _unprotected_listeners(self) -> Iterator[tuple[str, str]]:
        return iter(())


class RunningBridge(UpstreamSettings):
    """The settings to reach a bridge that already runs: jump server and secret are optional."""

    def _problems(self) -> Iterator[tuple[str, str]]:
        for key, problem in super()._problems():
            if key != "jump":
                yield key, problem

    @property
    def _needs_secret(self) -> bool:
        return False
