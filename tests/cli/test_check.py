"""`--check` reads all settings, prints those given with their origins, and does not listen."""

import re
import socket

import pytest

from tests.support.commands import run
from tests.support.programs import running


def test_check_accepts_valid_settings_and_does_not_listen(private):
    secret = private("secret", "s3cret-of-18-bytes\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("netjumper", "--listen", address, "--secret-file", str(secret), "--check")
    given = f"listen = {address}  # --listen\nsecret_file = {secret}  # --secret-file\n"
    assert done == (0, f"{given}settings are valid; no settings file\n", [])
    assert run("netjumper-bridge", "--embedded", "--check") == (
        0,
        "embedded = true  # --embedded\nsettings are valid; no settings file\n",
        [],
    )


def test_check_prints_settings_with_their_origins_and_no_secret(private):
    lines = [
        "[bridge]",
        'jump = ["home.example.net:1",',
        '  "netjumper+tls://alice:s3cret-1@office.example.net?ca=system"]',
        "secret = 's3cret-2'",
        "dial_timeout = 2.5",
        "early_data = 'never'",
        "max_parked = 1",
    ]
    path = private("c\n.toml", "\n".join(lines))
    env = {"NETJUMPER_AUTH": "me:s3cret-3", "NETJUMPER_MAX_PARKED": "7", "NETJUMPER_HTTP": ""}
    arguments = ["--config", str(path), "--socks", "127.0.0.1:1", "--socks", "unix:/s", "--check"]
    code, out, warnings = run("netjumper-bridge", *arguments, "--no-mptcp", env=env)
    name = str(path).replace("\n", "\\n")
    assert (code, out.splitlines()) == (
        0,
        [
            "auth = (hidden)  # environment variable NETJUMPER_AUTH",
            f"dial_timeout = 2.5  # '{name}':5",
            f"early_data = never  # '{name}':6",
            "http = (none)  # environment variable NETJUMPER_HTTP",
            (
                "jump = netjumper://home.example.net:1, "
                f"netjumper+tls://alice@office.example.net:9527?ca=system  # '{name}':2"
            ),
            "max_parked = 7  # environment variable NETJUMPER_MAX_PARKED",
            "mptcp = false  # --no-mptcp",
            f"secret = (hidden)  # '{name}':4",
            "socks = 127.0.0.1:1, unix:/s  # --socks",
            f"settings are valid; settings file: '{name}'",
        ],
    )
    assert "s3cret" not in out + "".join(warnings)


@pytest.mark.parametrize("flag", ["--secret-file", "--auth-file", "--config"])
def test_check_reads_the_named_files(flag, private):
    secret = private("secret", "s3cret-of-18-bytes\n")
    arguments = ["--jump", "h:1", "--secret-file", str(secret), "--check", flag, "/nonexistent/x"]
    code, out, lines = run("netjumper-bridge", *arguments)
    assert (code, out) == (2, "")
    assert len(lines) == 1
    assert lines[0].startswith(f"netjumper-bridge: {flag}: ")


def test_check_warns_of_an_unknown_variable():
    env = {"NETJUMPER_DAIL_TIMEOUT": "1"}
    code, out, lines = run("netjumper-bridge", "--embedded", "--check", env=env)
    assert (code, out) == (
        0,
        "embedded = true  # --embedded\nsettings are valid; no settings file\n",
    )
    assert len(lines) == 1
    assert (
        "WARNING environment variable NETJUMPER_DAIL_TIMEOUT is not a netjumper setting" in lines[0]
    )


@pytest.mark.parametrize(
    ("name", "arguments", "table"),
    [("netjumper", [], "server"), ("netjumper-bridge", ["--embedded"], "bridge")],
)
def test_service_says_which_settings_file_it_has_read(name, arguments, table, private):
    path = private("c.toml", f"[{table}]\ndial_timeout = 1\n")
    words = [*arguments, "--config", str(path)]
    listener = "listen" if name == "netjumper" else "socks"
    env = {"NETJUMPER_SECRET": "s3cret-of-18-bytes", f"NETJUMPER_{listener.upper()}": "127.0.0.1:0"}
    with running(name, *words, env=env) as service:
        service.wait_for(f"INFO settings file: {re.escape(str(path))}$")
    code, out, _ = run(name, *words, "--check", env=env)
    assert (code, out.splitlines()[-1]) == (0, f"settings are valid; settings file: {path}")
