"""`netjumper-bridge env`: what is printed, and how shells read it."""

import shutil

import pytest

from netjumper.cli import bridge
from tests.support import programs

CREDENTIALS = "me:it's $HOME;\"`x`\\ @:/%"
ENCODED = "me:it%27s%20%24HOME%3B%22%60x%60%5C%20%40%3A%2F%25@"
NAMES = [
    "http_proxy", "https_proxy", "HTTPS_PROXY", "ws_proxy", "wss_proxy", "all_proxy", "ALL_PROXY",
    "no_proxy", "NO_PROXY", "NODE_USE_ENV_PROXY",
]  # fmt: skip


def printed(capsys, *arguments):
    assert bridge.main(["env", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def values(capsys, *arguments):
    lines = printed(capsys, "--shell", "docker", *arguments)
    return dict(line.split("=", 1) for line in lines)


def refused(capsys, *arguments):
    code = bridge.main(["env", *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return code, err


def test_default_variables_name_the_default_ports(capsys):
    assert printed(capsys) == [
        "export http_proxy=http://127.0.0.1:8118",
        "export https_proxy=http://127.0.0.1:8118",
        "export HTTPS_PROXY=http://127.0.0.1:8118",
        "export ws_proxy=http://127.0.0.1:8118",
        "export wss_proxy=http://127.0.0.1:8118",
        "export all_proxy=socks5h://127.0.0.1:1080",
        "export ALL_PROXY=socks5h://127.0.0.1:1080",
        "export no_proxy=localhost,127.0.0.1,::1",
        "export NO_PROXY=localhost,127.0.0.1,::1",
        "export NODE_USE_ENV_PROXY=1",
    ]


def test_http_proxy_is_never_in_upper_case(capsys):
    assert list(values(capsys)) == NAMES


@pytest.mark.parametrize(
    ("arguments", "http", "socks"),
    [
        (["--mixed", "127.0.0.1:3128"], "http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        (["--http", "[::1]:81"], "http://[::1]:81", "http://[::1]:81"),
        (["--socks", "127.0.0.1:82"], "socks5h://127.0.0.1:82", "socks5h://127.0.0.1:82"),
        (
            ["--socks", "unix:/s", "--socks", ":83", "--http", "0.0.0.0:84"],
            "http://127.0.0.1:84",
            "socks5h://127.0.0.1:83",
        ),
    ],
)
def test_variables_name_the_local_addresses_of_the_bridge(arguments, http, socks, capsys):
    found = values(capsys, *arguments)
    assert found["http_proxy"] == found["https_proxy"] == found["HTTPS_PROXY"] == http
    assert found["all_proxy"] == found["ALL_PROXY"] == socks


def test_bridge_settings_are_read_without_a_jump_host(capsys, monkeypatch):
    monkeypatch.setenv("NETJUMPER_MIXED", "127.0.0.1:3128")
    assert values(capsys)["http_proxy"] == "http://127.0.0.1:3128"


@pytest.mark.parametrize("address", ["unix:/run/bridge", "127.0.0.1:0"])
def test_address_that_no_variable_can_name_is_refused(address, capsys):
    code, message = refused(capsys, "--mixed", address)
    assert code == 1
    assert "no variable can name an address of the bridge" in message
    assert "HOST:PORT" in message


def test_password_is_percent_encoded(capsys):
    found = values(capsys, "--auth", CREDENTIALS)
    assert found["https_proxy"] == f"http://{ENCODED}127.0.0.1:8118"
    assert found["ALL_PROXY"] == f"socks5h://{ENCODED}127.0.0.1:1080"
    assert found["NO_PROXY"] == "localhost,127.0.0.1,::1"


def test_first_user_of_the_auth_file_is_used(capsys, private):
    users = private("users", "# users\nalice:wonder\nbob:land\n")
    assert "//alice:wonder@" in values(capsys, "--auth-file", str(users))["http_proxy"]


@pytest.mark.parametrize(
    ("shell", "program", "more"),
    [
        ("sh", "sh", []),
        ("bash", "bash", []),
        pytest.param("zsh", "zsh", [], marks=pytest.mark.needs("zsh")),
        pytest.param("fish", "fish", ["--no-config"], marks=pytest.mark.needs("fish")),
        ("powershell", "pwsh", ["-NoProfile"]),  # no Debian package, so no CI has to have it
    ],
)
def test_shell_reads_the_printed_values_unchanged(shell, program, more, capsys):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    lines = printed(capsys, "--shell", shell, "--auth", CREDENTIALS)
    done = programs.run([program, *more, "-c", "\n".join([*lines, "env"])])
    found = dict(it.split("=", 1) for it in done.stdout.decode().splitlines() if "=" in it)
    assert {name: found[name] for name in NAMES} == values(capsys, "--auth", CREDENTIALS)


def test_fish_and_powershell_get_their_own_syntax(capsys):
    assert printed(capsys, "--shell", "fish")[0] == ("set -gx http_proxy 'http://127.0.0.1:8118'")
    assert printed(capsys, "--shell", "powershell")[0] == (
        "$Env:http_proxy = 'http://127.0.0.1:8118'"
    )


def test_unknown_shell_is_refused(capsys):
    code, message = refused(capsys, "--shell", "csh")
    assert code == 2
    assert "expected sh, bash, zsh, fish, powershell or docker, not 'csh'" in message


def test_malformed_credentials_are_refused_and_not_shown(capsys):
    code, message = refused(capsys, "--auth", "s3cret-of-18-bytes")
    assert (code, message) == (2, "netjumper-bridge: --auth: expected user:password\n")
