"""The sources of settings for pydantic-settings, each of which knows where a value came from.

pydantic-settings merges them: an earlier source wins. The text of flags and variables becomes
numbers, switches and lists here; a settings file (`netjumper.settings.settings_file`) has types of
its own and must use them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

from netjumper.settings.common import CommonSettings
from netjumper.settings.option import variable

_SWITCH = {"1": True, "true": True, "yes": True, "on": True} | {
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


class OriginKind(Enum):
    """The kinds of sources, the one that wins first."""

    COMMAND_LINE = 1
    ENVIRONMENT = 2
    FILE = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        kind: the kind of its source.
        place: a flag, a variable, or a file with the line, for people.
        key: the table and key in a file; empty elsewhere.
    """

    kind: OriginKind
    place: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.key}" if self.key else self.place


@dataclass(slots=True)
class CommandLine:
    """What a command line gave.

    Attributes:
        values: text, or a list of texts, or a switch, by the setting's key.
        origins: the flag or argument of each, by the setting's key.
        config: the path of the settings file; None if it was not given.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    config: str | None = None

    def give(self, key: str, value: object, where: str) -> None:
        """Add a value, or replace it.

        Args:
            key: the setting's.
            value: text, a list of texts, or a switch.
            where: the flag or argument that gave it, for messages.
        """
        self.values[key] = value
        self.origins[key] = where

    def over(self, other: "CommandLine") -> "CommandLine":
        """Return both, with the values of this one where both have one."""
        return CommandLine(
            other.values | self.values, other.origins | self.origins, self.config or other.config
        )


class Source(PydanticBaseSettingsSource):
    """One source.

    Args:
        model: the settings of the command.
        values: by key.
        origins: by key.
    """

    def __init__(
        self, model: type[CommonSettings], values: Mapping[str, Any], origins: Mapping[str, Origin]
    ) -> None:
        super().__init__(model)
        self.used: dict[str, Any] = {}
        """The values that no source above overrides by the other key of an exclusive pair."""
        self.origins = origins
        self._values = values
        self._exclusive = model.exclusive

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002 - the signature is pydantic's
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """Return the value of a field, its key, and that it is not to be decoded."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values for pydantic-settings to merge below those of the sources above."""
        self.used = {key: it for key, it in self._values.items() if not self._is_overridden(key)}
        return dict(self.used)

    def _is_overridden(self, key: str) -> bool:
        """Whether a source above gives a key of the same exclusive pair; false does not count."""
        return any(
            self.current_state.get(other, False) is not False
            for pair in self._exclusive
            if key in pair
            for other in pair
        )


class CommandLineSource(Source):
    """The flags and arguments of a command line."""

    def __init__(self, model: type[CommonSettings], given: CommandLine) -> None:
        super().__init__(
            model,
            _typed(model, given.values),
            {key: Origin(OriginKind.COMMAND_LINE, it) for key, it in given.origins.items()},
        )


class EnvironmentSource(Source):
    """The variables `NETJUMPER_*`."""

    def __init__(self, model: type[CommonSettings]) -> None:
        texts = _PlainEnvironment(model)()
        places = {key: f"environment variable {variable(key)}" for key in texts}
        super().__init__(
            model,
            _typed(model, texts),
            {key: Origin(OriginKind.ENVIRONMENT, it) for key, it in places.items()},
        )


class _PlainEnvironment(EnvSettingsSource):
    """The texts of variables, unchanged: a list is not JSON here."""

    def prepare_field_value(
        self,
        field_name: str,  # noqa: ARG002 - the signature is pydantic's
        field: FieldInfo,  # noqa: ARG002
        value: object,
        value_is_complex: bool,  # noqa: ARG002
    ) -> object:
        """Return the value unchanged."""
        return value


def _typed(model: type[CommonSettings], texts: Mapping[str, Any]) -> dict[str, Any]:
    """Turn text into the types that the settings want; text that is of no such type stays text."""
    return {
        key: _from_text(model.model_fields[key].annotation, value) for key, value in texts.items()
    }


def _from_text(kind: Any, value: object) -> object:
    if not isinstance(value, str):
        return value
    if kind is bool:
        return _SWITCH.get(value.lower(), value)
    if kind in (float, int):
        try:
            return kind(value)
        except ValueError:
            return value
    if getattr(kind, "__origin__", None) is tuple:
        return value.replace(",", " ").split()
    return value
