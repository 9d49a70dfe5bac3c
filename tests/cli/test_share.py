"""`netjumper share`: one line for the bridge's settings, and its QR code."""

import errno
import io
import sys

import pytest

from netjumper.addressing.jump_url import JumpUrl
from netjumper.cli import server
from tests.support import programs

SECRET = "s3cret-of-18-bytes & more"


def shared(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert server.main(["share", *map(str, arguments)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["home.example.net"], "netjumper://home.example.net:9527"),
        (["home.example.net", "--listen", ":4433"], "netjumper://home.example.net:4433"),
        (["home.example.net:1"], "netjumper://home.example.net:1"),
        (["[2001:db8::1]", "--listen-tls", ":2"], "netjumper+tls://[2001:db8::1]:2"),
        (["[2001:db8::1]:3", "--listen-tls", ":2"], "netjumper+tls://[2001:db8::1]:3"),
        (["h", "--listen", ":1", "--listen-tls", ":2"], "netjumper+tls://h:2"),
        (["h", "--listen-tls", "unix:/run/x"], "netjumper+tls://h:9527"),
    ],
)
def test_share_prints_one_line_that_a_bridge_accepts(capsys, arguments, line):
    assert shared(capsys, *arguments) == f"{line}\n"
    assert JumpUrl.parse(line).tls is ("tls" in line)


def test_secret_is_shared_only_on_request(capsys, private):
    file = private("secret", SECRET)
    settings = ["home.example.net", "--secret-file", file, "--listen-tls", ":9527"]
    assert "s3cret" not in shared(capsys, *settings)
    line = shared(capsys, *settings, "--with-secret").strip()
    assert JumpUrl.parse(line).secret == SECRET
    assert line == "netjumper+tls://:s3cret-of-18-bytes%20%26%20more@home.example.net:9527"


def test_pin_of_the_certificate_is_shared(capsys, tmp_path):
    file = tmp_path / "server.pem"
    assert server.main(["keygen", "--tls", str(file)]) == 0
    pin = capsys.readouterr().out.strip()
    line = shared(capsys, "home.example.net", "--listen-tls", ":1", "--certificate-file", file)
    assert line == f"netjumper+tls://home.example.net:1?pin={pin}\n"


def test_qr_code_is_drawn(capsys):
    out = shared(capsys, "home.example.net", "--qr")
    first, *qr_code = out.splitlines()
    assert first == "netjumper://home.example.net:9527"
    assert len(qr_code) > 10


def test_qr_code_is_drawn_in_ascii_for_an_ascii_terminal():
    command = [programs.installed("netjumper"), "share", "home.example.net", "--qr"]
    done = programs.run(command, {"PYTHONIOENCODING": "ascii"})
    first, *qr_code = done.stdout.decode("ascii").splitlines()
    assert (done.returncode, done.stderr) == (0, b"")
    assert first == "netjumper://home.example.net:9527"
    assert len(qr_code) > 20
    assert all(set(line) <= set(" \x1b[0123456789m") for line in qr_code)


def test_closed_pipe_ends_the_qr_code_quietly(monkeypatch, capsys):
    class ClosedPipe(io.StringIO):
        """A stream whose reader closes it after the first line."""

        encoding = "utf-8"

        def write(self, text):
            if "home" not in text:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")
            return len(text)

    monkeypatch.setattr(sys, "stdout", ClosedPipe())
    assert server.main(["share", "home", "--qr"]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a b"], "HOST: 'a b' is not a host name"),
        (["home:x"], "HOST: port 'x' is not a number from 1 to 65535"),
        (["home", "--with-secret"], (
            "secret: none given; set NETJUMPER_SECRET or --secret-file FILE "
            "(`netjumper keygen` makes a secret)"
        )),
        (["home", "--certificate-file", "/nowhere"], (
            "--certificate-file: cannot read /nowhere: No such file or directory"
        )),
        (["home", "--certificate-file", "/dev/zero"], (
            "--certificate-file: cannot read /dev/zero: it is over 1048576 bytes"
        )),
        (["home", "--certificate-file", "/dev/null"], (
            "--certificate-file: '/dev/null': it has no certificate in PEM"
        )),
    ],
)  # fmt: skip
def test_mistake_is_refused_in_one_line(capsys, arguments, message):
    assert server.main(["share", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"netjumper: {message}\n")


CLIENTS = '[alice]\nsecrets = ["s3cret-1", "s3cret-2"]\n[bob]\nsecrets = ["s3cret-3"]\n'


def test_client_gets_its_name_and_its_last_secret(capsys, private):
    settings = ["home.example.net", "--clients-file", private("clients.toml", CLIENTS)]
    line = shared(capsys, *settings, "--client", "alice").strip()
    assert line == "netjumper://alice@home.example.net:9527"
    line = shared(capsys, *settings, "--client", "alice", "--with-secret").strip()
    assert line == "netjumper://alice:s3cret-2@home.example.net:9527"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "netjumper: --client: expected the name of a client"),
        (
            ["--client", "eve"],
            "netjumper: --client: unknown client 'eve'; known are alice, bob",
        ),
    ],
)
def test_client_must_be_named(capsys, private, arguments, message):
    file = private("clients.toml", CLIENTS)
    assert server.main(["share", "h", "--clients-file", str(file), *arguments]) == 2
    assert capsys.readouterr().err.strip() == message


def test_client_without_a_clients_file_is_refused(capsys):
    assert server.main(["share", "h", "--client", "eve"]) == 2
    message = "netjumper: --client: unknown client 'eve': no clients_file is given"
    assert capsys.readouterr().err.strip() == message


def test_secret_that_is_not_text_is_percent_encoded(capsys, private):
    settings = ["h", "--secret-file", private("secret", b"s3cret\xff")]
    assert shared(capsys, *settings).strip() == "netjumper://h:9527"
    line = shared(capsys, *settings, "--with-secret").strip()
    assert line == "netjumper://:s3cret%FF@h:9527"
    assert JumpUrl.parse(line).secret.encode("utf-8", "surrogateescape") == b"s3cret\xff"
