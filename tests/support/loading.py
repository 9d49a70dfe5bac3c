"""Load settings from a command line, like the commands."""

from pathlib import Path
from typing import Any

import pytest

from netjumper.cli import bridge, server
from netjumper.cli.arguments import command_line_of
from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.common import CommonSettings
from netjumper.settings.loaded import Loaded
from netjumper.settings.loader import load
from netjumper.settings.sources import CommandLine


def command_line(
    *arguments: str, config: Path | None = None, model: type[CommonSettings] = BridgeSettings
) -> CommandLine:
    """Parse a command line."""
    parser = (bridge if model is BridgeSettings else server).build_parser()
    files = [] if config is None else ["--config", str(config)]
    return command_line_of(parser.parse_args([*files, *arguments]), model)


def bridge_with(*arguments: str, config: Path | None = None) -> Loaded[BridgeSettings]:
    """Load the settings of a bridge with an embedded jump server."""
    return load(BridgeSettings, command_line("--embedded", *arguments, config=config))


def refusal(
    *arguments: str, config: Path | None = None, model: type[CommonSettings] = BridgeSettings
) -> tuple[str, ...]:
    """Return the lines of the error for invalid settings."""
    with pytest.raises(SettingsError) as caught:
        load(model, command_line(*arguments, config=config, model=model))
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


def only_refusal(*arguments: str, **options: Any) -> str:
    """Return the only line of the error for invalid settings."""
    (line,) = refusal(*arguments, **options)
    return line
