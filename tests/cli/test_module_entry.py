"""`python -m netjumper`: its first word picks one of the two commands."""

import sys

import pytest

from netjumper import __version__
from tests.support import programs


def as_module(*words: str) -> tuple[int, str, str]:
    """Return exit status, output and errors of `python -m netjumper`."""
    done = programs.run([sys.executable, "-m", "netjumper", *words])
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("word", "prog"), [("server", "netjumper"), ("bridge", "netjumper-bridge")]
)
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["healthcheck", "-h"], ["--bogus"]])
def test_module_does_what_the_command_does(word: str, prog: str, words: list[str]) -> None:
    done = programs.run([programs.installed(prog), *words])
    assert as_module(word, *words) == (done.returncode, done.stdout.decode(), done.stderr.decode())
    assert prog in done.stdout.decode() + done.stderr.decode()


def test_module_serves_and_stops_cleanly() -> None:
    words = ["-m", "netjumper", "bridge", "--embedded", "--socks", "127.0.0.1:0"]
    with programs.running(sys.executable, *words) as program:
        program.address("SOCKS")
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "expected a command: server or bridge"),
        (["serve"], "unknown command 'serve'; did you mean server?"),
        (["keygen"], "keygen is a command of netjumper: netjumper keygen"),
        (["s3cret-of-18-bytes"], "unknown command; expected one of server, bridge"),
        (["--embedded"], "unknown option '--embedded'; it is an option of netjumper-bridge"),
    ],
)
def test_unknown_command_is_a_usage_error_of_one_line(words: list[str], error: str) -> None:
    code, out, err = as_module(*words)
    assert (code, out) == (2, "")
    see = " (see python -m netjumper --help)"
    assert err.removesuffix("\n").removesuffix(see) == f"python -m netjumper: {error}"


def test_help_and_version_are_printed_without_a_command() -> None:
    for word in ("--version", "-V", "version"):
        assert as_module(word) == (0, f"netjumper {__version__}\n", "")
    code, out, err = as_module("--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: python -m netjumper server|bridge ...\n")
    assert "bridge  the SOCKS and HTTP proxy: netjumper-bridge\n" in out
