"""Mistakes at the command line: one readable line, the right exit code, never a secret."""

import socket

import pytest

from netjumper import __version__
from netjumper.cli import bridge, server
from tests.support.commands import run

MAINS = {"netjumper": server.main, "netjumper-bridge": bridge.main}
COMMANDS = pytest.mark.parametrize("name", list(MAINS))


def refused(capsys, name, *arguments, code=2):
    """Run a command in this process; return its one line of error."""
    assert MAINS[name](arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{name}: ")
    assert err.count("\n") == 1
    assert "s3cret" not in err
    return err.removeprefix(f"{name}: ").rstrip("\n")


@COMMANDS
def test_secret_flag_is_refused(name, capsys):
    for arguments in (["--secret", "s3cret-of-18-bytes"], ["--secret=s3cret-of-18-bytes"]):
        message = refused(capsys, name, *arguments)
        assert "NETJUMPER_SECRET" in message
        assert "--secret-file" in message


@COMMANDS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nonsense=s3cret-of-18-bytes"], "unknown option '--nonsense'"),
        (["-s3cret-of-18-bytes"], "unknown option '-s'"),
        (["--dial-timeout"], "--dial-timeout: expected one argument"),
        (["--conf", "x"], "unknown option '--conf'; did you mean --config?"),
        (["--nonsense\nx"], "unknown option '--nonsense\\nx'"),
    ],
)
def test_invalid_argument_is_reported_without_a_secret(name, arguments, message, capsys):
    assert refused(capsys, name, *arguments) == f"{message} (see {name} --help)"


def test_too_many_arguments_are_reported_without_a_secret(capsys):
    message = refused(capsys, "netjumper", "a", "s3cret-of-18-bytes", "c", "s3cret-of-18-bytes")
    assert message == "too many arguments (see netjumper --help)"


@COMMANDS
def test_unknown_log_level_is_reported_with_the_valid_ones(name, capsys):
    message = refused(capsys, name, "--log-level", "loud")
    assert message.startswith("--log-level: expected debug, info, warning or error, not 'loud'")


def test_swapped_port_and_secret_do_not_show_the_secret(capsys):
    message = refused(capsys, "netjumper", "s3cret-of-18-bytes", "9527")
    assert message == (
        "PORT: expected a number; write an address with --listen (see netjumper --help)"
    )


def test_too_large_port_is_refused(capsys):
    message = refused(capsys, "netjumper", "99999", "s3cret-of-18-bytes")
    assert message.startswith("PORT: port '99999' is not a number from 1 to 65535")


@pytest.mark.parametrize("arguments", [[], ["9527"], ["--listen", "127.0.0.1:0"]])
def test_server_refuses_to_start_without_a_secret(arguments, capsys):
    assert "netjumper keygen" in refused(capsys, "netjumper", *arguments)


def test_server_refuses_an_empty_secret(capsys, monkeypatch, private):
    message = "the secret is empty; `netjumper keygen` makes one"
    assert refused(capsys, "netjumper", "9527", "") == f"SECRET: {message}"
    monkeypatch.setenv("NETJUMPER_SECRET", "")
    source = "environment variable NETJUMPER_SECRET"
    assert refused(capsys, "netjumper", "9527") == f"{source}: {message}"
    empty = private("empty", "\n")
    assert "is empty" in refused(capsys, "netjumper", "--secret-file", str(empty))


def test_secret_and_secret_file_exclude_each_other(capsys):
    message = refused(capsys, "netjumper", "9527", "s3cret-of-18-bytes", "--secret-file", "x")
    assert message == "SECRET: cannot be combined with secret_file; remove one of them"


@COMMANDS
def test_secret_file_that_others_can_read_is_refused(name, capsys, private):
    path = private("secret", "s3cret-of-18-bytes", 0o644)
    more = ["--jump", "h:1"] if name == "netjumper-bridge" else []
    message = refused(capsys, name, *more, "--secret-file", str(path))
    assert message.endswith(f"type: chmod 600 {path}")


def test_missing_secret_file_is_reported(capsys):
    message = refused(capsys, "netjumper", "--secret-file", "/nonexistent/secret")
    assert message == "--secret-file: cannot read /nonexistent/secret: No such file or directory"


def test_bridge_needs_a_jump_host(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "s3cret-of-18-bytes")
    assert "--jump HOST:PORT" in refused(capsys, "netjumper-bridge")


def test_jump_host_and_embedded_exclude_each_other(capsys):
    message = refused(capsys, "netjumper-bridge", "--embedded", "--jump", "h:1")
    assert message == "--embedded: cannot be combined with jump; remove one of them"


def test_public_bridge_without_a_password_is_refused(capsys):
    message = refused(capsys, "netjumper-bridge", "--embedded", "--socks", "0.0.0.0:0")
    assert message.startswith(
        "--socks: 0.0.0.0:0 is reachable from other machines; bind 127.0.0.1 "
    )


def test_mistake_in_the_auth_file_is_reported_with_its_line(capsys, private):
    path = private("users", "me:s3cret\nyou s3cret\n")
    message = refused(capsys, "netjumper-bridge", "--embedded", "--auth-file", str(path))
    assert message == f"--auth-file: {path}, line 2: expected user:password"


def test_malformed_password_is_not_shown(capsys):
    message = refused(capsys, "netjumper-bridge", "--embedded", "--auth", "s3cret-of-18-bytes")
    assert message == "--auth: expected user:password"


@COMMANDS
@pytest.mark.parametrize("word", ["--help", "-h", "help", "--version", "-V", "version"])
def test_help_and_version_are_printed_to_standard_output(name, word, capsys):
    assert MAINS[name]([word]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    is_version = word in ("-V", "--version", "version")
    assert out.startswith(f"{name} {__version__}\n" if is_version else f"usage: {name} ")


@COMMANDS
def test_help_has_defaults_examples_and_sources_of_settings(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    MAINS[name](["--help"])
    text = capsys.readouterr().out
    assert "(default: 5)" in text
    assert "examples:\n" in text
    assert "NETJUMPER_CONFIG" in text
    model = server.ServerSettings if name == "netjumper" else bridge.BridgeSettings
    for key in model.model_fields.keys() - {"secret"}:
        assert f"--{key.replace('_', '-')}" in text


@COMMANDS
def test_refused_command_prints_one_line_and_exits_with_2(name):
    code, out, lines = run(
        name, "--dial-timeout", "soon", env={"NETJUMPER_SECRET": "s3cret-of-18-bytes"}
    )
    assert (code, out) == (2, "")
    assert [line for line in lines if "--dial-timeout" in line] == [
        f"{name}: --dial-timeout: expected a number of seconds greater than 0, not 'soon'"
    ]


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_port_in_use_is_reported_with_its_setting(source, private):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = private("c.toml", f"[bridge]\nembedded = true\nhttp = ['{address}']\n")
        arguments, env, origin = {
            "flag": (["--embedded", "--http", address], {}, "--http"),
            "environment": (
                ["--embedded"],
                {"NETJUMPER_HTTP": address},
                "environment variable NETJUMPER_HTTP",
            ),
            "file": (["--config", str(path)], {}, f"{path}:3: [bridge] http"),
        }[source]
        code, out, lines = run("netjumper-bridge", *arguments, env=env)
    assert (code, out) == (1, "")
    assert lines == [
        (
            f"netjumper-bridge: {origin}: cannot listen on {address}: "
            "another program listens there; stop it or choose another port"
        )
    ]


def test_port_in_use_is_reported_by_the_server():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, lines = run(
            "netjumper", "--listen", address, env={"NETJUMPER_SECRET": "s3cret-of-18-bytes"}
        )
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"netjumper: --listen: cannot listen on {address}: ")


def test_missing_directory_of_a_unix_socket_is_reported():
    code, _, lines = run("netjumper-bridge", "--embedded", "--socks", "unix:/nonexistent/x/y")
    assert code == 1
    assert lines == [
        (
            "netjumper-bridge: --socks: cannot listen on unix:/nonexistent/x/y: "
            "No such file or directory"
        )
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "alternative"),
    [
        ("netjumper", ["9527", "s3cret-of-18-bytes"], "NETJUMPER_SECRET or --secret-file"),
        (
            "netjumper-bridge",
            ["--embedded", "--auth", "me:s3cret-of-18-bytes"],
            "NETJUMPER_AUTH or --auth-file",
        ),
        (
            "netjumper-bridge",
            ["--jump", "netjumper://a:s3cret-of-18-bytes@127.0.0.1:1"],
            "NETJUMPER_JUMP or the settings file",
        ),
    ],
)
def test_secret_on_the_command_line_causes_a_warning(name, arguments, alternative):
    code, _, (line,) = run(name, *arguments, "--check")
    assert code == 0
    assert "which every user of this machine can read" in line
    assert alternative in line
    assert "s3cret" not in line


def test_exec_warns_of_a_secret_on_the_command_line():
    jump = ["--jump", "netjumper://a:s3cret-of-18-bytes@127.0.0.1:1"]
    code, _, lines = run("netjumper-bridge", "exec", *jump, "--", "true")
    assert code == 0
    assert sum("WARNING a jump host's secret is on the command line" in it for it in lines) == 1
    assert "s3cret" not in "".join(lines)


def test_jump_host_secret_in_the_environment_causes_no_warning():
    env = {"NETJUMPER_JUMP": "netjumper://a:s3cret-of-18-bytes@127.0.0.1:1"}
    code, out, lines = run("netjumper-bridge", "--check", env=env)
    assert (code, lines) == (0, [])
    assert out.endswith("\nsettings are valid; no settings file\n")
    assert "s3cret" not in out


@pytest.mark.parametrize(
    ("name", "listeners", "message"),
    [
        ("netjumper", ["--listen", ":7", "--listen-tls", ":7"], (
            "--listen-tls: [::]:7 is used twice (also in listen); each listener needs its own "
            "address"
        )),
        ("netjumper", ["--listen", "127.0.0.1:7", "--listen", "127.0.0.1:7"], (
            "--listen: 127.0.0.1:7 is used twice; each listener needs its own address"
        )),
        ("netjumper-bridge", ["--embedded", "--socks", "unix:/x", "--http", "unix:/x"], (
            "--http: unix:/x is used twice (also in socks); each listener needs its own address"
        )),
    ],
)  # fmt: skip
def test_two_listeners_with_the_same_address_are_refused(
    name, listeners, message, capsys, monkeypatch
):
    monkeypatch.setenv("NETJUMPER_SECRET", "s3cret-of-18-bytes")
    assert refused(capsys, name, *listeners, "--check") == message


def test_two_listeners_may_use_port_0(capsys):
    listeners = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    assert MAINS["netjumper-bridge"](["--embedded", *listeners, "--check"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["9527", "--check", "s3cret-of-18-bytes"],
        ["--check", "9527", "s3cret-of-18-bytes"],
        ["9527", "s3cret-of-18-bytes", "--check"],
    ],
)
def test_flag_may_stand_between_port_and_secret(words):
    code, out, lines = run("netjumper", *words)
    given = "listen = [::]:9527  # PORT\nsecret = (hidden)  # SECRET\n"
    assert (code, out) == (0, f"{given}settings are valid; no settings file\n")
    assert len(lines) == 1  # the warning that a secret in argv can be read
