"""Sub-commands: selected by the first word, listed in help, reported if unknown."""

import pytest

from netjumper.cli import bridge, server

MAINS = {"netjumper": server, "netjumper-bridge": bridge}
EVERY = [(name, command) for name, module in MAINS.items() for command in module.COMMANDS]
every_command = pytest.mark.parametrize(
    ("name", "command"), EVERY, ids=[f"{name} {command.name}" for name, command in EVERY]
)


@every_command
def test_help_lists_every_command(name, command, capsys):
    assert MAINS[name].main(["--help"]) == 0
    assert f"{command.name} " in capsys.readouterr().out.partition("commands:")[2]


@every_command
def test_every_command_has_its_own_help(name, command, capsys):
    assert MAINS[name].main([command.name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: {name} {command.name}")
    assert "example" in out
    assert err == ""


@pytest.mark.parametrize(
    "words",
    [[name] for name in MAINS] + [[name, command.name] for name, command in EVERY],
    ids=" ".join,
)
def test_help_fits_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert MAINS[words[0]].main([*words[1:], "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 79] == []


@pytest.mark.parametrize(
    ("name", "word", "meant"),
    [
        ("netjumper", "keygn", "keygen"),
        ("netjumper-bridge", "exce", "exec"),
        ("netjumper-bridge", "health", "healthcheck"),
        ("netjumper-bridge", "docter", "doctor"),
    ],
)
def test_misspelt_command_is_reported_with_the_nearest(name, word, meant, capsys):
    assert MAINS[name].main([word]) == 2
    assert capsys.readouterr().err == (
        f"{name}: unknown command '{word}'; did you mean {meant}? (see {name} --help)\n"
    )


def test_unknown_word_is_not_repeated(capsys):
    assert bridge.main(["s3cret-of-18-bytes"]) == 2
    assert capsys.readouterr().err == (
        "netjumper-bridge: unknown command; expected one of exec, env, healthcheck, doctor, "
        "completion (see netjumper-bridge --help)\n"
    )


def test_unknown_option_names_the_help_of_its_command(capsys):
    assert bridge.main(["env", "--nonsense"]) == 2
    assert capsys.readouterr().err == (
        "netjumper-bridge: unknown option '--nonsense' (see netjumper-bridge env --help)\n"
    )


def test_command_must_be_the_first_word(capsys):
    assert bridge.main(["--embedded", "env"]) == 2
    assert "netjumper-bridge: too many arguments (see" in capsys.readouterr().err
