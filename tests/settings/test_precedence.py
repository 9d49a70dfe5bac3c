"""Which source of a setting wins."""

import argparse

from netjumper.cli.arguments import command_line_of
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from tests.support.loading import bridge_with, command_line


def test_flags_win_over_the_environment_and_that_over_the_file(private, monkeypatch):
    path = private("c.toml", "[bridge]\ndial_timeout = 1\njump_timeout = 1\nidle_timeout = 1\n")
    monkeypatch.setenv("NETJUMPER_DIAL_TIMEOUT", "2")
    monkeypatch.setenv("NETJUMPER_JUMP_TIMEOUT", "2")
    loaded = bridge_with("--dial-timeout", "3", config=path)
    settings = loaded.settings
    assert (settings.dial_timeout, settings.jump_timeout, settings.idle_timeout) == (3, 2, 1)
    assert loaded.origin("dial_timeout") == "--dial-timeout"
    assert loaded.origin("jump_timeout") == "environment variable NETJUMPER_JUMP_TIMEOUT"
    assert loaded.origin("idle_timeout") == f"{path}:4: [bridge] idle_timeout"
    assert loaded.origin("grace_period") == "grace_period (default)"


def test_flag_turns_off_a_switch_of_the_file(private):
    path = private("c.toml", "[bridge]\nembedded = true\n")
    loaded = load(
        BridgeSettings,
        command_line("--no-embedded", "--jump", "h:1", "--secret-file", "x", config=path),
    )
    assert loaded.settings.embedded is False


def test_embedded_flag_wins_over_a_jump_host_in_the_file(private):
    path = private("c.toml", "[bridge]\njump = 'h:1'\nsecret = 's'\n")
    settings = load(BridgeSettings, command_line("--embedded", config=path)).settings
    assert settings.embedded
    assert settings.jump == ()


def test_jump_flag_wins_over_embedded_in_the_file(private):
    path = private("c.toml", "[bridge]\nembedded = true\nsecret = 's'\n")
    settings = load(BridgeSettings, command_line("--jump", "h:1", config=path)).settings
    assert not settings.embedded
    assert ", ".join(str(it.address) for it in settings.jump) == "h:1"


def test_command_line_holds_only_settings():
    arguments = argparse.Namespace(config="x", check=True, idle_timeout="3")
    assert command_line_of(arguments, ServerSettings).values == {"idle_timeout": "3"}
