"""Loading settings out of a command line, as the programs do."""

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


def given(
    *arguments: str, config: Path | None = None, model: type[CommonSettings] = BridgeSettings
) -> CommandLine:
    """Return the settings that a command line gives."""
    parser = (bridge if model is BridgeSettings else server).build_parser()
    files = [] if config is None else ["--config", str(config)]
    return command_line_of(parser.parse_args([*files, *arguments]), model)


def bridge_with(*arguments: str, config: Path | None = None) -> Loaded[BridgeSettings]:
    """Load the settings of a bridge with an embedded jump server."""
    return load(BridgeSettings, given("--embedded", *arguments, config=config))


def refusal(
    *arguments: str, config: Path | None = None, model: type[CommonSettings] = BridgeSettings
) -> tuple[str, ...]:
    """Return the lines with which these settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load(model, given(*arguments, config=config, model=model))
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


def only_refusal(*arguments: str, **options: Any) -> str:
    """Return the only line with which these settings are refused."""
    (line,) = refusal(*arguments, **options)
    return line
