"""Words that belong to another command, or are misspelt: the message says what is meant."""

import pytest

from netjumper.cli import bridge, server
from tests.support.commands import run

MAINS = {"netjumper": server.main, "netjumper-bridge": bridge.main}


def refusal(capsys, line):
    """Run a command line that is refused; return its one line of error."""
    name, *words = line.split()
    assert MAINS[name](words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.removeprefix(f"{name}: ").rstrip("\n")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("netjumper-bridge --jmp x", "; did you mean --jump?"),
        ("netjumper-bridge --soks x", "; did you mean --socks?"),
        ("netjumper-bridge --no-embeded", "; did you mean --no-embedded?"),
        ("netjumper-bridge -v", "; did you mean -V?"),
        ("netjumper --lsten x", "; did you mean --listen?"),
        ("netjumper keygen --tsl", ""),
        ("netjumper --jump x", "; it is an option of netjumper-bridge"),
        ("netjumper-bridge --listen x", "; it is an option of netjumper"),
        ("netjumper-bridge env --jump x", "; it is an option of netjumper-bridge"),
        ("netjumper share x --idle-timeout 1", "; it is an option of netjumper"),
        ("netjumper-bridge --xyzzy x", ""),
        ("netjumper-bridge -x", ""),
    ],
)
def test_unknown_option_is_reported_with_what_is_meant(line, hint, capsys):
    message = refusal(capsys, line)
    assert f"{hint} (see netjumper" in message
    assert ("did you mean" in message or "it is an option" in message) is bool(hint)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("netjumper doctor", "doctor is a command of netjumper-bridge: netjumper-bridge doctor"),
        ("netjumper env", "env is a command of netjumper-bridge: netjumper-bridge env"),
        ("netjumper exec", "exec is a command of netjumper-bridge: netjumper-bridge exec"),
        ("netjumper-bridge keygen", "keygen is a command of netjumper: netjumper keygen"),
        ("netjumper-bridge share x", "share is a command of netjumper: netjumper share"),
    ],
)
def test_command_of_the_other_program_is_reported_with_that_program(line, message, capsys):
    assert refusal(capsys, line) == message


@pytest.mark.parametrize(
    "line",
    [
        "netjumper-bridge home.example.net:9527",
        "netjumper-bridge netjumper+tls://a:s3cret-of-18-bytes@home",
    ],
)
def test_jump_host_without_its_flag_is_recognised_and_not_repeated(line, capsys):
    message = refusal(capsys, line)
    assert "; write --jump before a jump host (see" in message
    assert "home" not in message


def test_jump_host_behind_another_is_recognised_and_not_repeated(capsys):
    message = refusal(capsys, "netjumper-bridge --jump a:1 netjumper://b:s3cret@home:2")
    assert message == (
        "too many arguments; give --jump once for each jump host (see netjumper-bridge --help)"
    )
    assert refusal(capsys, "netjumper-bridge --jump a:1 s3cret-of-18-bytes") == (
        "too many arguments (see netjumper-bridge --help)"
    )


@pytest.mark.parametrize("name", list(MAINS))
def test_help_takes_the_name_of_a_command(name, capsys):
    assert MAINS[name](["help", "healthcheck"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: {name} healthcheck")


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["--log-level", "DEBUG", "--log-format", "Json"], {}),
        ([], {"NETJUMPER_LOG_LEVEL": "Debug", "NETJUMPER_LOG_FORMAT": "JSON"}),
    ],
)
def test_words_to_choose_from_are_taken_in_any_case(words, env):
    code, out, _ = run("netjumper-bridge", "--embedded", *words, "--check", env=env)
    assert code == 0
    assert "log_format = json" in out
    assert "log_level = debug" in out


def test_words_to_choose_from_are_taken_in_any_case_in_the_file(private):
    path = private("c.toml", "[bridge]\nembedded = true\nearly_data = 'Never'\n")
    code, out, _ = run("netjumper-bridge", "--config", str(path), "--check")
    assert code == 0
    assert "early_data = never" in out
