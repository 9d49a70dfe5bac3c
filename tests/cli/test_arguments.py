"""Flags are made of the settings' declarations, and read back as a command line's values."""

import argparse

import pytest

from netjumper.cli import bridge, server
from netjumper.cli.arguments import command_line_of
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.option import Command, flag, option_of
from netjumper.settings.server import ServerSettings

PARSERS = {
    parser.prog: (parser, model)
    for module, model in ((server, ServerSettings), (bridge, BridgeSettings))
    for parser in (module.build_parser(), *(it.build_parser() for it in module.COMMANDS))
}


@pytest.mark.parametrize("command", Command)
def test_command_has_the_flags_that_its_settings_declare(command):
    parser, model = PARSERS[command]
    declared = {
        key
        for key, info in model.model_fields.items()
        if option_of(info).has_flag and command in (model.command, *option_of(info).also)
    }
    assert declared
    assert declared == {it.dest for it in parser._actions} & model.model_fields.keys()


@pytest.mark.parametrize("command", Command)
def test_flag_has_the_help_of_its_setting(command):
    parser, model = PARSERS[command]
    for action in parser._actions:
        if info := model.model_fields.get(action.dest):
            assert action.option_strings[0] == flag(action.dest)
            exempt = (command, action.dest) == (Command.BRIDGE_HEALTHCHECK, "embedded")
            assert exempt or action.help.startswith(option_of(info).help)


def test_no_command_has_a_secret_flag():
    for parser, _ in PARSERS.values():
        assert "--secret" not in {it for action in parser._actions for it in action.option_strings}


def test_command_line_holds_given_settings_and_their_flags():
    words = ["--config", "c.toml", "--check", "--idle-timeout", "3", "--no-mptcp", "--mark", "1"]
    given = command_line_of(server.build_parser().parse_args(words), ServerSettings)
    assert given.values == {"idle_timeout": "3", "mptcp": False, "mark": "1"}
    assert given.origins == {
        "idle_timeout": "--idle-timeout",
        "mptcp": "--no-mptcp",
        "mark": "--mark",
    }
    assert given.config == "c.toml"


def test_command_line_without_config_names_no_file():
    assert command_line_of(argparse.Namespace(), ServerSettings).config is None
