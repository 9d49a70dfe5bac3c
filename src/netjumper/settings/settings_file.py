"""The settings file: which one is read, and its table for a command as a source of settings."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netjumper.errors import SettingsError
from netjumper.settings.common import CommonSettings
from netjumper.settings.files import TomlFile, read_toml, refuse_if_shared, shown_path
from netjumper.settings.messages import did_you_mean
from netjumper.settings.option import PREFIX
from netjumper.settings.sources import Origin, OriginKind, Source
from netjumper.settings.toml_lines import key_lines
from netjumper.text import quoted

Models = Mapping[str, type[CommonSettings]]
"""The settings by the table of the file that has them."""
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""The variable that names the settings file."""
SYSTEM_CONFIG = Path("/etc/netjumper/config.toml")
"""The settings file that is read if the user has none."""

_WITH_SECRET = re.compile(r"//[^/@]*:[^@]+@")
"""Matches in a jump host's line: `//CLIENT:SECRET@`."""
_PLAIN_NAME = re.compile(r"[\w-]{1,60}")


class FileSource(Source):
    """The command's table in the settings file.

    Args:
        model: the settings of the command.
        config: the path that the command line gave; None looks in the usual places.
        models: the settings of all tables that the file may have.

    Raises:
        SettingsError: the file cannot be used, or has unknown tables or keys.
    """

    def __init__(self, model: type[CommonSettings], config: str | None, models: Models) -> None:
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        self.shown = ""
        """The file that was read, for messages; empty if there was none."""
        self.has_table = False
        """Whether it has the command's table."""
        if file := _read_first(config, models):
            self.shown = shown_path(file.path)
            self.has_table = model.table in file.content
            _refuse_unknown(model, file, models)
            lines = _Lines(file)
            for key, value in file.content.get(model.table, {}).items():
                is_path = key.endswith("_file") and isinstance(value, str)
                values[key] = _relative_to(file.path, value) if is_path else value
                place = lines.place(model.table, key)
                origins[key] = Origin(OriginKind.FILE, place, f"[{model.table}] {key}")
        super().__init__(model, values, origins)


class _Lines:
    """Names the places in a file."""

    def __init__(self, file: TomlFile) -> None:
        self._name = shown_path(file.path)
        self._lines = key_lines(file.text)

    def place(self, *path: str) -> str:
        """Return the file and the line of a table, or of a table's key, for people."""
        return f"{self._name}:{self._lines[path]}"


def _read_first(config: str | None, models: Models) -> TomlFile | None:
    """Return the first file that exists of those to look for."""
    for path, where, must_exist in _places(config):
        try:
            file = read_toml(path, where)
        except (FileNotFoundError, NotADirectoryError):
            if must_exist:
                raise SettingsError(f"{where}: no such file: {path}") from None
            continue
        if any(_has_secret(model, file.content.get(table)) for table, model in models.items()):
            refuse_if_shared(path, file.status, where)
        return file
    return None


def _places(config: str | None) -> Iterator[tuple[Path, str, bool]]:
    """Yield each path to try, what named it, and whether the file must exist."""
    if config is not None:
        yield Path(config), "--config", True
    elif named := os.environ.get(CONFIG_VARIABLE):
        yield Path(named), f"environment variable {CONFIG_VARIABLE}", True
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
        if not base.is_absolute():  # the XDG specification says to ignore a relative path
            base = Path(os.path.expanduser("~/.config"))  # noqa: PTH111 - this one never raises
        for path in (base / "netjumper" / "config.toml", SYSTEM_CONFIG):
            yield path, "settings file", False


def _has_secret(model: type[CommonSettings], keys: object) -> bool:
    """Whether a table has a secret, as a value or within a jump host's line."""
    if not isinstance(keys, dict):
        return False
    jump = keys.get("jump")
    lines = jump if isinstance(jump, list) else [jump]
    return bool(keys.keys() & model.private) or any(
        isinstance(it, str) and _WITH_SECRET.search(it) for it in lines
    )


def _refuse_unknown(model: type[CommonSettings], file: TomlFile, models: Models) -> None:
    """Check the tables of the file, and the keys of the command's own.

    Raises:
        SettingsError: some are unknown; a line for each.
    """
    lines = _Lines(file)
    problems = []
    for table, keys in file.content.items():
        if problem := _wrong_table(table, keys, models):
            problems.append(f"{lines.place(table)}: {problem}")
        elif table == model.table:
            problems += [
                f"{lines.place(table, key)}: [{table}] {_unknown_key(model, key, models)}"
                for key in keys
                if key not in model.model_fields
            ]
    if problems:
        raise SettingsError(*problems)


def _wrong_table(table: str, keys: object, models: Models) -> str:
    """Return what is wrong with a key of the file's top level; empty if nothing is."""
    if table in models:
        return "" if isinstance(keys, dict) else f"{table}: expected a table, [{table}]"
    if isinstance(keys, dict):
        similar = did_you_mean(table, models)
        return f"unknown table [{_name(table)}]; expected [server] or [bridge]{similar}"
    return f"{_name(table)} is in no table; put it under [server] or [bridge]"


def _unknown_key(model: type[CommonSettings], key: str, models: Models) -> str:
    for table, other in models.items():
        if key in other.model_fields:
            return f"{key}: that is a key of [{table}]"
    return f"{_name(key)}: unknown key{did_you_mean(key, model.model_fields)}"


def _name(text: str) -> str:
    return text if _PLAIN_NAME.fullmatch(text) else quoted(text)


def _relative_to(path: Path, name: str) -> str:
    """Return a file that a settings file names: relative to that file, not to the directory."""
    return name if not name or name.startswith("~") else str(path.absolute().parent / name)
