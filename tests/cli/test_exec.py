"""`netjumper-bridge exec`: which programs it runs, with which environment and streams."""

import re
import subprocess
import sys

import pytest

from netjumper.cli import bridge
from netjumper.cli.proxy_variables import variables
from tests.support import programs
from tests.support.programs import TIMEOUT_S, installed, running, web_server

COMMAND = installed("netjumper-bridge")
EMBEDDED = [COMMAND, "exec", "--embedded"]
PRINT_ENVIRONMENT = [
    sys.executable,
    "-c",
    "import os; [print(*it, sep='=') for it in os.environ.items()]",
]


def environment_of(arguments, env=None):
    """Return the environment that a program has under `exec`."""
    done = programs.run([*arguments, "--", *PRINT_ENVIRONMENT], env)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)


def refused(capsys, *arguments):
    assert bridge.main(["exec", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_program_gets_a_bridge_on_a_free_port():
    found = environment_of(EMBEDDED)
    port = re.fullmatch(r"http://127\.0\.0\.1:(\d+)", found["http_proxy"])[1]
    assert found["https_proxy"] == found["HTTPS_PROXY"] == found["http_proxy"]
    assert found["all_proxy"] == found["ALL_PROXY"] == f"http://127.0.0.1:{port}"
    assert found["no_proxy"] == found["NO_PROXY"] == "localhost,127.0.0.1,::1"
    assert found["NODE_USE_ENV_PROXY"] == "1"
    assert found["HTTP_PROXY"] == found["http_proxy"]


def test_cgi_program_gets_no_variable_in_the_form_of_a_header():
    assert "HTTP_PROXY" not in environment_of(EMBEDDED, {"REQUEST_METHOD": "GET"})


def test_own_no_proxy_of_the_user_is_kept():
    env = {"no_proxy": "intern.example, 10.0.0.1", "NO_PROXY": "other.example,localhost"}
    found = environment_of([*EMBEDDED, "--no-proxy", "a.example,b.example"], env)
    expected = "localhost,127.0.0.1,::1,intern.example,10.0.0.1,other.example,a.example,b.example"
    assert found["no_proxy"] == found["NO_PROXY"] == expected


def test_no_proxy_for_all_targets_is_refused(capsys, monkeypatch):
    message = "netjumper-bridge: no_proxy: * means that the program connects to every target "
    assert refused(capsys, "--embedded", "--no-proxy", "*", "--", "true").startswith(message)
    monkeypatch.setenv("NO_PROXY", "a.example, *")
    assert refused(capsys, "--via", "127.0.0.1:1", "--", "true").startswith(message)


def test_other_proxies_and_secrets_are_removed_from_the_environment():
    env = {
        "HTTP_PROXY": "http://other.example:1",
        "ftp_proxy": "http://other.example:1",
        "NETJUMPER_SECRET": "s3cret-of-18-bytes",
        "NETJUMPER_SOCKS": "0.0.0.0:1080",  # for a service, not for exec
    }
    found = environment_of(EMBEDDED, env)
    assert not {"ftp_proxy", "NETJUMPER_SECRET"} & found.keys()
    assert not [value for value in found.values() if "other.example" in value]


@pytest.mark.needs("curl")
@pytest.mark.parametrize("options", [[], ["-p"]], ids=["SOCKS", "CONNECT"])
def test_curl_fetches_a_page_through_exec(options):
    # curl's own NO_PROXY has loopback in it: --noproxy '' takes it away for the test.
    variables = '--proxy "$ALL_PROXY"' if not options else '-p --proxy "$https_proxy"'
    with web_server() as port:
        line = f"exec curl -sS --noproxy '' {variables} http://127.0.0.1:{port}/page"
        done = programs.run([*EMBEDDED, "--", "sh", "-c", line])
    assert done.returncode == 0, done.stderr
    assert b"you requested /page" in done.stdout
    assert done.stderr == b""  # neither a panel nor a line for the tunnel


@pytest.mark.needs("curl")
def test_bridge_requires_the_password_that_the_program_gets(private):
    users = private("users", "alice:won der@\n")
    arguments = [*EMBEDDED, "--auth-file", str(users), "--"]
    with web_server() as port:
        fetch = f"curl -sS --noproxy '' http://127.0.0.1:{port}/page --proxy"
        right = programs.run([*arguments, "sh", "-c", f'{fetch} "$ALL_PROXY"'])
        no_password = "socks5h://${ALL_PROXY#*@}"
        wrong = programs.run([*arguments, "sh", "-c", f'{fetch} "{no_password}"'])
    assert b"you requested /page" in right.stdout
    assert wrong.returncode != 0
    assert b"won der" not in right.stderr + wrong.stderr


@pytest.mark.needs("curl")
def test_via_uses_a_running_bridge():
    listeners = ["--embedded", "--socks", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with web_server() as port, running("netjumper-bridge", *listeners) as service:
        via = [
            "--via", f"http://{service.address('HTTP')}",
            "--via", f"socks5h://{service.address('SOCKS')}/",
        ]  # fmt: skip
        line = f"curl -sS --noproxy '' --proxy \"$ALL_PROXY\" http://127.0.0.1:{port}/page"
        done = programs.run([COMMAND, "exec", *via, "--", "sh", "-c", line])
        service.wait_for(rf"-> 127\.0\.0\.1:{port}: up")
    assert b"you requested /page" in done.stdout


def test_via_without_a_scheme_is_used_for_both_protocols():
    found = environment_of([COMMAND, "exec", "--via", "[::1]:3128"], {"NETJUMPER_AUTH": "me:a b"})
    assert found["http_proxy"] == "http://me:a%20b@[::1]:3128"
    assert found["ALL_PROXY"] == "http://me:a%20b@[::1]:3128"
    assert "NETJUMPER_AUTH" not in found


def test_program_gets_no_variable_that_can_hold_a_secret():
    secrets = {
        "NETJUMPER_AUTH": "me:pass",
        "NETJUMPER_JUMP": "netjumper://:s3cret@127.0.0.1:1",
        "NETJUMPER_SECRET": "s3cret-of-18-bytes",
        "NETJUMPER_SECRT": "s3cret-of-18-bytes",
    }
    found = environment_of([COMMAND, "exec", "--via", "127.0.0.1:1"], secrets)
    assert not secrets.keys() & found.keys()
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("upstream", [["--embedded"], ["--via", "127.0.0.1:1"]])
def test_password_on_the_command_line_causes_a_warning(upstream):
    done = programs.run(
        [COMMAND, "exec", *upstream, "--auth", "me:s3cret-of-18-bytes", "--", "true"]
    )
    assert b"WARNING the password is on the command line" in done.stderr
    assert b"s3cret" not in done.stderr


def test_via_for_socks_only_is_used_for_every_variable():
    found = environment_of([COMMAND, "exec", "--via", "socks5h://127.0.0.1:1080"])
    assert found["http_proxy"] == found["HTTPS_PROXY"] == "socks5h://127.0.0.1:1080"


@pytest.mark.parametrize(
    "via", ["nonsense", "ftp://x:1", "http://me:s3cret@x:1", "http://x", "x:0"]
)
def test_invalid_via_is_refused_without_showing_a_password(via, capsys):
    message = refused(capsys, "--via", via, "--", "true")
    assert "--via: expected HOST:PORT" in message
    assert "s3cret" not in message


def test_two_via_addresses_for_one_protocol_are_refused(capsys):
    message = refused(capsys, "--via", "x:1", "--via", "http://x:2", "--", "true")
    assert "more than one address for http" in message


def test_missing_program_is_refused(capsys):
    for arguments in (["--embedded"], ["--embedded", "--"]):
        assert "the program to run after the options" in refused(capsys, *arguments)
    assert "unknown option" not in refused(capsys, "--", "true")  # but there is no jump server


@pytest.mark.parametrize(
    ("options", "command"),
    [
        (["--embedded"], ["echo", "--", "--jump", "x"]),
        (["--embedded", "--log-level", "error"], ["echo", "--jump"]),
        (["--embedded", "--log-level=error"], ["echo", "-h"]),
        (["--embedded", "--"], ["echo", "--"]),
    ],
)
def test_first_word_that_is_no_option_begins_the_program(options, command):
    done = programs.run([COMMAND, "exec", *options, *command])
    assert done.stdout.decode() == " ".join(command[1:]) + "\n"


def test_unknown_option_before_the_program_is_refused(capsys):
    assert "unknown option '--embeded'" in refused(capsys, "--embeded", "echo")


def test_program_keeps_its_standard_streams():
    line = "cat; echo error >&2"
    done = subprocess.run(
        [*EMBEDDED, "--", "sh", "-c", line],
        input=b"given", capture_output=True, timeout=TIMEOUT_S, check=False,
        env=programs.clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"given", b"error\n")


def test_words_after_the_dashes_go_to_the_program():
    done = programs.run([*EMBEDDED, "--", "echo", "--", "--help", "--jump"])
    assert done.stdout == b"-- --help --jump\n"


def test_unknown_program_exits_with_127():
    done = programs.run([*EMBEDDED, "--", "no-such-program"])
    assert done.returncode == 127
    assert done.stderr == b"netjumper-bridge: 'no-such-program': no such program\n"


def test_program_that_cannot_run_exits_with_126(private):
    plain = private("plain", "no program")
    done = programs.run([*EMBEDDED, "--", str(plain)])
    assert done.returncode == 126
    assert done.stderr.decode() == (
        f"netjumper-bridge: '{plain}' cannot be run: Permission denied\n"
    )


def test_invalid_settings_start_no_program(tmp_path):
    done = programs.run([COMMAND, "exec", "--", "touch", str(tmp_path / "made")])
    assert done.returncode == 2
    assert b"no jump server given" in done.stderr
    assert not (tmp_path / "made").exists()


def test_log_level_can_be_set():
    done = programs.run([*EMBEDDED, "--log-level", "info", "--", "true"])
    assert b"stopping: 0 tunnels open" in done.stderr


def test_help_names_every_variable_that_the_program_gets(capsys):
    assert bridge.main(["exec", "--help"]) == 0
    help_text = capsys.readouterr().out
    named = set(re.findall(r"\w+", help_text))
    assert {name for name in variables("h:1", "s:1") if not {name, name.lower()} & named} == set()
