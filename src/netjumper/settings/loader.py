"""Settings from flags, environment and file: merged, checked, and each with its origin."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.common import PROBLEM, SOURCES, CommonSettings
from netjumper.settings.loaded import Loaded, SettingsT
from netjumper.settings.messages import describe_wrong_value, did_you_mean, expectation
from netjumper.settings.option import PREFIX, variable
from netjumper.settings.server import ServerSettings
from netjumper.settings.settings_file import CONFIG_VARIABLE, FileSource
from netjumper.settings.sources import (
    CommandLine,
    CommandLineSource,
    EnvironmentSource,
    Origin,
    Source,
)
from netjumper.text import quoted

MODELS: Mapping[str, type[CommonSettings]] = {"server": ServerSettings, "bridge": BridgeSettings}
"""The settings by the table of the settings file that has them."""

_KUBERNETES = re.compile(
    r"NETJUMPER_(?:BRIDGE_|SERVER_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\w+)?)"
)
"""Matches the variables that Kubernetes sets in every container for a service `netjumper`."""


def load(model: type[SettingsT], given: CommandLine) -> Loaded[SettingsT]:
    """Read the settings of a command; flags win over the environment, which wins over the file.

    Args:
        model: the settings of the command.
        given: what the command line gave.

    Raises:
        SettingsError: some cannot be used; a line for each problem that was found.
    """
    unknown = tuple(unknown_variables())
    try:
        file = FileSource(model, given.config, MODELS)
        sources = (CommandLineSource(model, given), EnvironmentSource(model), file)
        settings = _merged(model, sources, file)
    except SettingsError as error:  # a misspelt variable may be the reason
        raise SettingsError(*error.lines, *unknown) from None
    return Loaded(settings, _origins(sources), unknown, file.shown)


def _merged(model: type[SettingsT], sources: Sequence[Source], file: FileSource) -> SettingsT:
    arguments: dict[str, Any] = {SOURCES: sources}
    try:
        return model(**arguments)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [_describe(model, sources, it) for it in problems]
    if file.shown and not file.has_table and _is_missing(problems[0], sources):
        lines.append(f"{file.shown} has no table [{model.table}]")
    raise SettingsError(*lines)


def unknown_variables() -> Iterator[str]:
    """Yield a warning for each variable that looks like a setting but is none."""
    known = {variable(key) for model in MODELS.values() for key in model.model_fields}
    words = {it.removeprefix(PREFIX) for it in (*known, CONFIG_VARIABLE)}
    for name in sorted(os.environ):
        word = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and word not in words and not _KUBERNETES.fullmatch(name):
            shown = name if name.isprintable() else quoted(name)
            similar = did_you_mean(word, words, PREFIX)
            yield f"environment variable {shown} is not a netjumper setting{similar}"


def _origins(sources: Sequence[Source]) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    for source in reversed(sources):
        origins |= {key: source.origins[key] for key in source.used}
    return origins


def _is_missing(error: ErrorDetails, sources: Sequence[Source]) -> bool:
    """Whether a setting is missing that some source must give."""
    return error["type"] == PROBLEM and error.get("ctx", {}).get("key") not in _origins(sources)


def _describe(model: type[CommonSettings], sources: Sequence[Source], error: ErrorDetails) -> str:
    """Return a problem as one line: its place, and what is wrong there."""
    context = error.get("ctx", {})
    is_rule = error["type"] == PROBLEM
    key = context["key"] if is_rule else str(error["loc"][0])
    place = _origins(sources).get(key, key)
    if is_rule:
        return f"{place}: {context['problem']}"
    expected = expectation(model.model_fields[key])
    if key in model.private:
        return f"{place}: expected {expected.text}"
    value = next(it.used[key] for it in sources if key in it.used)
    return (
        f"{place}: {describe_wrong_value(error, expected, None if key in model.unshown else value)}"
    )
