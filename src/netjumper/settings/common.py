"""The settings that both commands have, and the rules for all settings.

Values are strict types here: `netjumper.settings.sources` turns the text of flags and variables
into numbers and lists, and knows where each value came from. A secret is a `SecretStr`, and
pydantic's error texts repeat no value.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from netjumper.addressing.choices import LogFormat, LogLevel
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import ListenerKind
from netjumper.settings.option import Command, Group, Option, option_of
from netjumper.settings.sockets import SocketSettings
from netjumper.settings.types import (
    Count,
    FilePath,
    LogFormatName,
    LogLevelName,
    Secret,
    Switch,
    Timeout,
    TimeoutOrZero,
    Workers,
)

PROBLEM = "netjumper"
"""The pydantic error type of a rule that spans keys; its context has `key` and `problem`."""
SOURCES = "sources"
"""The argument of a settings class that has the sources to read (`netjumper.settings.loader`)."""


class CommonSettings(SocketSettings):
    """The settings that both commands have."""

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
    command: ClassVar[Command]
    """The command that has them."""
    can_reload: ClassVar[bool] = False
    """Whether the command can reload its settings."""
    listener_kinds: ClassVar[tuple[ListenerKind, ...]]
    """The kinds of listeners that the command has."""
    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("secret", "secret_file"),)
    """Pairs of keys that exclude each other; the one from the higher source wins."""
    private: ClassVar[frozenset[str]] = frozenset({"secret", "auth"})
    """Keys whose value is never shown."""
    unshown: ClassVar[frozenset[str]] = private | {"jump"}
    """Keys whose wrong value may have a secret in it; the reason may be shown."""

    secret: Annotated[
        Secret,
        Option(
            Group.AUTHENTICATION,
            "the shared secret; `netjumper keygen` makes one",
            has_flag=False,
            reloadable=True,
        ),
    ] = None
    secret_file: Annotated[
        FilePath,
        Option(
            Group.AUTHENTICATION,
            "file with the shared secret, readable only by its owner",
            (Command.SHARE, Command.EXEC, Command.BRIDGE_HEALTHCHECK, Command.DOCTOR),
            reloadable=True,
        ),
    ] = None
    certificate_file: Annotated[
        FilePath,
        Option(
            Group.TLS,
            "PEM file with this side's own certificate and its private key; a bridge needs one "
            "only for jump servers that require it",
            (Command.SHARE, Command.EXEC, Command.BRIDGE_HEALTHCHECK, Command.DOCTOR),
            reloadable=True,
        ),
    ] = None
    key_file: Annotated[
        FilePath,
        Option(
            Group.TLS,
            "PEM file with the private key, if certificate_file has only the certificate",
            (Command.EXEC, Command.BRIDGE_HEALTHCHECK, Command.DOCTOR),
            reloadable=True,
        ),
    ] = None
    allow_weak_secret: Annotated[
        Switch,
        Option(
            Group.AUTHENTICATION,
            "accept a secret of less than 8 bytes, which can be guessed",
            (Command.EXEC, Command.BRIDGE_HEALTHCHECK, Command.DOCTOR),
            reloadable=True,
        ),
    ] = False
    max_auth_failures: Annotated[
        Count,
        Option(
            Group.AUTHENTICATION,
            "failed authentications within an hour after which the source is banned; 0 bans none",
            reloadable=True,
        ),
    ] = 10
    ban_time: Annotated[
        Timeout,
        Option(
            Group.AUTHENTICATION,
            "duration of the first ban of a source; each further ban is twice as long, up to 600 s",
            reloadable=True,
        ),
    ] = 60.0
    idle_timeout: Annotated[
        TimeoutOrZero,
        Option(
            Group.TIMEOUTS,
            "close a tunnel that transferred no data for this long; 0 never does",
            (Command.EXEC,),
        ),
    ] = 0.0
    grace_period: Annotated[
        TimeoutOrZero,
        Option(
            Group.TIMEOUTS,
            "time that open tunnels have to end after a stop signal",
            (Command.EXEC,),
        ),
    ] = 10.0
    workers: Annotated[
        Workers,
        Option(
            Group.PROCESSES,
            "number of processes that serve; limits and parked connections apply per process",
        ),
    ] = 1
    log_level: Annotated[
        LogLevelName,
        Option(Group.LOGGING, "lowest level to log", (Command.EXEC,), reloadable=True),
    ] = LogLevel.INFO
    log_format: Annotated[
        LogFormatName,
        Option(
            Group.LOGGING,
            "format of log lines; auto is rich on a terminal and plain elsewhere",
            (Command.EXEC,),
        ),
    ] = LogFormat.AUTO

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources that are given as `sources`, else the arguments alone.

        A plain call such as `ServerSettings(secret="...")` reads no variable and no file.
        """
        given: tuple[PydanticBaseSettingsSource, ...] = init_settings().get(
            SOURCES, (init_settings,)
        )
        return given

    @classmethod
    def reloadable_keys(cls) -> frozenset[str]:
        """Return the keys whose changed value is taken on SIGHUP, without a restart."""
        if not cls.can_reload:
            return frozenset()
        return frozenset(key for key, it in cls.model_fields.items() if option_of(it).reloadable)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for key, problem in self._problems():
            raise PydanticCustomError(PROBLEM, "{problem}", {"key": key, "problem": problem})
        return self

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yield (key, what is wrong) for rules that one key alone cannot break."""
        for one, other in self.exclusive:
            if all(getattr(self, key) not in (None, False, ()) for key in (one, other)):
                yield one, f"cannot be combined with {other}; remove one of them"
        if self.key_file is not None and self.certificate_file is None:
            yield "key_file", "key_file requires certificate_file"
        yield from self._repeated_addresses()
        if self.workers > 1 and not hasattr(os, "fork"):
            yield "workers", "this system supports only 1 worker"
        if self._needs_secret:
            if self.secret is None and self.secret_file is None:
                yield (
                    "secret",
                    (
                        "none given; set NETJUMPER_SECRET or --secret-file FILE "
                        "(`netjumper keygen` makes a secret)"
                    ),
                )
            if self.secret is not None and not self.secret.get_secret_value().strip():
                yield "secret", "the secret is empty; `netjumper keygen` makes one"

    @property
    def listeners(self) -> Mapping[str, tuple[ListenAddress, ...]]:
        """The listening addresses by the name of their kind."""
        return {it.name: getattr(self, it.key) for it in self.listener_kinds}

    def _repeated_addresses(self) -> Iterator[tuple[str, str]]:
        taken: dict[ListenAddress, str] = {}
        for key in (it.key for it in self.listener_kinds):
            for address in getattr(self, key):
                if address in taken and (address.port or address.path):
                    other = taken[address]
                    also = "" if other == key else f" (also in {other})"
                    yield key, f"{address} is used twice{also}; each listener needs its own address"
                taken[address] = key

    @property
    def _needs_secret(self) -> bool:
        return True
