"""The settings of both commands: their keys, types, bounds and defaults.

Only what a value must be is said here, in strict types: text from the environment and from
flags is turned into numbers and lists before it gets here (`netjumper.settings.loader`, which also
knows where each value came from). A secret is a `SecretStr`, and no value is ever repeated in
pydantic's error texts.
"""

import os
from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.listeners import ListenerKind
from netjumper.settings.sockets import SocketSettings
from netjumper.settings.types import FilePath, LogFormat, LogLevel, Secret, TimeoutOrZero, Workers

PROBLEM = "netjumper"
"""The pydantic error type of a rule that spans keys; its context has `key` and `problem`."""


class CommonSettings(SocketSettings):
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
    listener_kinds: ClassVar[tuple[ListenerKind, ...]]
    """The kinds of listeners that the command has."""
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
        """Take nothing in silence: the sources are merged by `netjumper.settings.loader`."""
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
        yield from self._shared_places()
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
    def listeners(self) -> Mapping[str, tuple[ListenAddress, ...]]:
        """The listening addresses by the name of their kind."""
        return {it.name: getattr(self, it.key) for it in self.listener_kinds}

    def _shared_places(self) -> Iterator[tuple[str, str]]:
        taken: dict[ListenAddress, str] = {}
        for key in (it.key for it in self.listener_kinds):
            for address in getattr(self, key):
                if address in taken and (address.port or address.path):
                    other = taken[address]
                    both = "" if other == key else f", here and in {other}"
                    yield key, f"{address} is given twice{both}; each door has a place of its own"
                taken[address] = key

    @property
    def _needs_secret(self) -> bool:
        return True
