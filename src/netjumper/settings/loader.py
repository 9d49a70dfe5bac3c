"""Where settings come from: flags over environment over file, and what is wrong with them.

Each source is a `Source`: the values it gives, and where each stands, so that a message can name
the flag, the variable, or the file with its table. Text (flags, environment) becomes numbers,
switches and lists here; a settings file has types of its own and must use them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.common import PROBLEM
from netjumper.settings.files import read_secret, read_toml, refuse_if_shared
from netjumper.settings.messages import did_you_mean, expectation, what_is_wrong
from netjumper.settings.server import ServerSettings
from netjumper.text import quoted

SettingsT = TypeVar("SettingsT", ServerSettings, BridgeSettings)
AnySettings = type[ServerSettings] | type[BridgeSettings]

PREFIX = "NETJUMPER_"
MODELS: dict[str, AnySettings] = {"server": ServerSettings, "bridge": BridgeSettings}
SYSTEM_CONFIG = Path("/etc/netjumper/config.toml")

# What Kubernetes puts into every container for a service called "netjumper".
_KUBERNETES = re.compile(
    r"NETJUMPER_(?:BRIDGE_|SERVER_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\w+)?)"
)
_WITH_SECRET = re.compile(r"//[^/@]*:[^@]+@")
"""In a jump host's line: `//CLIENT:SECRET@`."""
_SWITCH = {"1": True, "true": True, "yes": True, "on": True} | {
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


@dataclass(slots=True)
class Source:
    """One source's values by key, and where each stands."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def give(self, key: str, value: object, where: str) -> None:
        """Add a value."""
        self.values[key] = value
        self.origins[key] = where


@dataclass(frozen=True, slots=True)
class Loaded(Generic[SettingsT]):
    """Valid settings, and where each stood."""

    settings: SettingsT
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def origin(self, key: str) -> str:
        """Return what gave `key` its value."""
        return self.origins.get(key, f"{key} (by default)")

    def with_warning(self, warning: str) -> "Loaded[SettingsT]":
        """Return the same with one more warning."""
        return replace(self, warnings=(*self.warnings, warning))

    def secret(self) -> bytes:
        """Return the secret, from its file where it is in one; empty where none is needed.

        Raises:
            SettingsError: the file cannot be used.
        """
        settings = self.settings
        if settings.secret_file is not None:
            return read_secret(settings.secret_file, self.origin("secret_file"))
        if settings.secret is None:
            return b""
        # Bytes that are no UTF-8 come out of the environment as surrogates: back into bytes.
        return settings.secret.get_secret_value().encode("utf-8", "surrogateescape")


AnyLoaded = Loaded[ServerSettings] | Loaded[BridgeSettings]


def load(model: type[SettingsT], flags: Source, config: str | None = None) -> Loaded[SettingsT]:
    """Merge the sources and check the result.

    Args:
        model: the command's settings.
        flags: what the command line gave, as text or lists of text.
        config: the settings file's path that the command line gave.

    Raises:
        SettingsError: something is wrong with one of them.
    """
    layers = [_typed(model, flags), environment(model), _file(model, config)]
    merged = Source()
    for layer in reversed(layers):
        for one, other in model.exclusive:
            if {one, other} & {key for key, value in layer.values.items() if value is not False}:
                merged.values.pop(one, None)
                merged.values.pop(other, None)
        merged.values.update(layer.values)
        merged.origins.update(layer.origins)
    try:
        settings = model(**merged.values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise SettingsError(*(_told(model, merged, it) for it in problems)) from None
    return Loaded(settings, merged.origins, tuple(unknown_variables()))


class _PlainEnvironment(EnvSettingsSource):
    """The environment's texts as they stand: a list is not JSON here."""

    def prepare_field_value(
        self,
        field_name: str,  # noqa: ARG002 - the signature is pydantic's
        field: FieldInfo,  # noqa: ARG002
        value: object,
        value_is_complex: bool,  # noqa: ARG002
    ) -> object:
        """Leave a value alone."""
        return value


def environment(model: AnySettings) -> Source:
    """Return what the environment says about a command's keys."""
    texts = Source()
    for key, text in _PlainEnvironment(model)().items():
        texts.give(key, text, f"environment variable {PREFIX}{key.upper()}")
    return _typed(model, texts)


def unknown_variables() -> Iterator[str]:
    """Yield a warning for each variable that looks like a setting and is none."""
    keys = {key.upper() for model in MODELS.values() for key in model.model_fields} | {"CONFIG"}
    for name in sorted(os.environ):
        key = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and key not in keys and not _KUBERNETES.fullmatch(name):
            shown = name if name.isprintable() else quoted(name)
            similar = did_you_mean(key, keys, PREFIX)
            yield f"environment variable {shown} is no setting of netjumper{similar}"


def _typed(model: AnySettings, texts: Source) -> Source:
    """Turn text into the types that the settings want; what is no such thing stays text."""
    values = {
        key: _from_text(model.model_fields[key].annotation, value)
        for key, value in texts.values.items()
    }
    return Source(values, texts.origins)


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


def _file(model: AnySettings, config: str | None) -> Source:
    """Return what the settings file says in the command's table."""
    layer = Source()
    path, content = _read_file(config)
    if path is None:
        return layer
    where = str(path) if str(path).isprintable() else quoted(str(path), 200)
    for table, keys in content.items():
        _check_table(where, table, keys)
    for key, value in content.get(model.table, {}).items():
        if key not in model.model_fields:
            raise SettingsError(f"{where}: [{model.table}] {_unknown_key(model, key)}")
        if key.endswith("_file") and isinstance(value, str):
            value = _relative_to(path, value)
        layer.give(key, value, f"{where}: [{model.table}] {key}")
    return layer


def _read_file(config: str | None) -> tuple[Path | None, dict[str, Any]]:
    for path, where, must_exist in _places(config):
        try:
            content, mode = read_toml(path, where)
        except (FileNotFoundError, NotADirectoryError):
            if must_exist:
                raise SettingsError(f"{where}: there is no such file: {path}") from None
            continue
        if any(_has_a_secret(model, content.get(table)) for table, model in MODELS.items()):
            refuse_if_shared(path, mode, where)
        return path, content
    return None, {}


def _has_a_secret(model: AnySettings, keys: object) -> bool:
    """Whether a table has one, be it within a jump host's line."""
    if not isinstance(keys, dict):
        return False
    jump = keys.get("jump")
    lines = jump if isinstance(jump, list) else [jump]
    return bool(keys.keys() & model.private) or any(
        isinstance(it, str) and _WITH_SECRET.search(it) for it in lines
    )


def _places(config: str | None) -> Iterator[tuple[Path, str, bool]]:
    """Yield (path, what named it, whether it must be there); the first that is there is read."""
    if config is not None:
        yield Path(config), "--config", True
    elif named := os.environ.get("NETJUMPER_CONFIG"):
        yield Path(named), "environment variable NETJUMPER_CONFIG", True
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
        if not base.is_absolute():  # the XDG specification has relative ones ignored
            base = Path(os.path.expanduser("~/.config"))  # noqa: PTH111 - this one never raises
        for path in (base / "netjumper" / "config.toml", SYSTEM_CONFIG):
            yield path, "settings file", False


def _check_table(where: str, table: str, keys: object) -> None:
    if table not in MODELS:
        if isinstance(keys, dict):
            similar = did_you_mean(table, MODELS)
            raise SettingsError(
                f"{where}: unknown table [{_name(table)}]; expected [server] or [bridge]{similar}"
            )
        raise SettingsError(
            f"{where}: {_name(table)} stands in no table; put it under [server] or [bridge]"
        )
    if not isinstance(keys, dict):
        raise SettingsError(f"{where}: {table}: expected a table, [{table}]")


def _unknown_key(model: AnySettings, key: str) -> str:
    for table, other in MODELS.items():
        if key in other.model_fields:
            return f"{key}: that is a key of [{table}]"
    return f"{_name(key)}: unknown key{did_you_mean(key, model.model_fields)}"


def _name(text: str) -> str:
    return text if re.fullmatch(r"[\w-]{1,60}", text) else quoted(text)


def _relative_to(path: Path, name: str) -> str:
    """A file that a settings file names is looked for beside it, wherever the command runs."""
    return name if not name or name.startswith("~") else str(path.absolute().parent / name)


def _told(model: AnySettings, merged: Source, error: ErrorDetails) -> str:
    """Return one problem as one line: where it is, what it is, what was expected."""
    context = error.get("ctx", {})
    if error["type"] == PROBLEM:
        key = context["key"]
        return f"{merged.origins.get(key, key)}: {context['problem']}"
    key = str(error["loc"][0])
    expected = expectation(model.model_fields[key])
    place = merged.origins.get(key, key)
    if key in model.private:
        return f"{place}: expected {expected.text}"
    value = None if key in model.unshown else merged.values[key]
    return f"{place}: {what_is_wrong(error, expected, value)}"
