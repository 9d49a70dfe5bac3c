"""What a log has in it, whoever sends what: printable lines, and nothing that is secret."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import socketserver
import ssl

import pytest
import trustme

from netjumper.tls.context import pin_of
from tests.support import programs
from tests.support.programs import PATIENCE, running, web_server
from tests.support.servers import served

HOSTILE = "\x1b[2J\r\n2026-01-01T00:00:00.000Z INFO forged\x07\x7f\x9b\u2028\u2029\u202e\u2066"
BYTES = HOSTILE.encode()
SECRET, OTHER, PASSWORD = "hush-hush-hush", "hush-another-hush", "hush-pass-hush"
CHALLENGE = bytes(range(32, 64))
STYLES = ["plain", "json", "rich"]


class HostileJumpServer(socketserver.BaseRequestHandler):
    """Lets everybody in and refuses every target, with words of its own."""

    def handle(self):
        self.request.sendall(b"\x20" + CHALLENGE)
        self.request.recv(21, socket.MSG_WAITALL)
        self.request.sendall(b"\0")
        if self.request.recv(1):
            self.request.recv(1024)
            self.request.sendall(b"\1" + bytes([len(BYTES)]) + BYTES)


def said_to(address, *pieces):
    """Send each piece and wait for an answer; the last one is the end."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE) as sock,
        contextlib.suppress(ConnectionError),
    ):
        for piece in pieces:
            sock.sendall(piece)
            sock.recv(1024)


def greeting_of(address, answer):
    """Answer a jump server's challenge by what makes an answer of it; return both."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as sock:
        challenge = sock.recv(33, socket.MSG_WAITALL)[1:]
        told = answer(challenge)
        sock.sendall(b"\x14" + told)
        if sock.recv(1) == b"\0":
            sock.sendall(bytes([len(BYTES)]) + BYTES)
        sock.recv(1024)
    return challenge, told


def sha1(secret):
    return lambda challenge: hashlib.sha1(challenge + secret.encode()).digest()


def socks5_to(host):
    return b"\5\1\0\3" + bytes([len(host)]) + host + b"\0\x50"


def spoken_to_the_bridge(socks, http):
    """Put hostile text wherever a program can put text."""
    said_to(socks, b"\5\1\0", socks5_to(b"example.org"))  # the jump server's text
    said_to(socks, b"\5\1\0", socks5_to(BYTES))
    said_to(socks, b"\4\1\0\x50\x7f\0\0\1" + BYTES.replace(b"\0", b"") + b"\0")
    said_to(socks, b"\4\1\0\x50\0\0\0\1" + b"user\0" + BYTES + b"\0")
    said_to(http, b"CONNECT " + BYTES + b":443 HTTP/1.1\r\n\r\n")
    said_to(http, b"CONNECT a:443 HTTP/1.1\r\nHost: " + BYTES + b"\r\n\r\n")
    said_to(http, b"GET http://" + BYTES + b"/ HTTP/1.1\r\n\r\n")
    said_to(http, b"GET http://example.org/" + BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    said_to(http, BYTES + b"\r\n\r\n")


def assert_is_clean(program, style, least):
    """Hold that it has logged so much at least, each in one printable line of its own."""
    starts = {"plain": r"\d{4}-\d\d-\d\dT", "json": r"\{", "rich": r"\d\d:\d\d:\d\d "}[style]
    lines = program.lines if style != "rich" else [it for it in program.lines if "> " in it]
    assert len(lines) >= least, lines
    for line in lines:
        assert line.isprintable(), line
        assert re.match(starts, line), line
        assert not re.match("2026-01-01T00:00:00.000Z", line)
        if style == "json":
            json.loads(line)


@pytest.mark.parametrize("style", STYLES)
def test_whatever_comes_to_a_bridge_its_log_is_lines_that_can_be_printed(style, tmp_path):
    flags = ["--log-level", "debug", "--log-format", style, "--max-parked", "0"]
    doors = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with served(HostileJumpServer) as port, contextlib.ExitStack() as stack:
        bridge = stack.enter_context(
            running("netjumper-bridge", "--jump", f"127.0.0.1:{port}", *doors, *flags,
                    "--http", f"unix:{tmp_path}/\x1b[2J\u202e", env={"NETJUMPER_SECRET": SECRET})
        )  # fmt: skip
        socks = bridge.wait_for(r"SOCKS\b.*?(127\.0\.0\.1:\d+)")[0][1]
        http = bridge.wait_for(r"HTTP\b.*?(127\.0\.0\.1:\d+)")[0][1]
        spoken_to_the_bridge(socks, http)
        bridge.wait_for(r"example\.org:80.*forged")
        assert bridge.stop() == 0
    assert_is_clean(bridge, style, 6)
    assert all("\x1b" not in it and "\u202e" not in it for it in bridge.lines)


@pytest.mark.parametrize("style", STYLES)
def test_whatever_comes_to_a_jump_server_its_log_is_lines_that_can_be_printed(style):
    flags = ["--log-level", "debug", "--log-format", style, "--listen", "127.0.0.1:0"]
    with running("netjumper", *flags, env={"NETJUMPER_SECRET": SECRET}) as server:
        address = server.wait_for(r"netjumper\b.*?(127\.0\.0\.1:\d+)")[0][1]
        said_to(address, BYTES)
        said_to(address, b"\xff" + BYTES * 6)
        greeting_of(address, sha1(SECRET))
        server.wait_for(r"-> .*forged.*")
        assert server.stop() == 0
    assert_is_clean(server, style, 3)


@pytest.mark.parametrize("command", ["netjumper", "netjumper-bridge"])
def test_a_files_name_in_a_complaint_is_printable(command, tmp_path):
    missing = f"{tmp_path}/\x1b[2J\n\u202e"
    done = programs.run([programs.installed(command), "--secret-file", missing])
    told = done.stderr.decode()
    assert done.returncode == 2
    assert told.removesuffix("\n").isprintable()


# --- secrets -------------------------------------------------------------------------------


def assert_nothing_is_secret(lines, *pairs):
    """Hold that no line has a secret, and none a challenge or an answer in any spelling."""
    told = "\n".join(lines)
    assert "hush" not in told
    for data in (it for pair in pairs for it in pair):
        for spelling in (data.hex(), base64.b64encode(data).decode()[:16], repr(data)[2:-1]):
            assert spelling.lower()[:16] not in told.lower()


@pytest.fixture
def debugging():
    """Return what runs a command at the lowest level, with a secret of its own."""

    @contextlib.contextmanager
    def run(secret, command, *arguments, **more):
        flags = ["--log-level", "debug", *map(str, arguments)]
        env = {"NETJUMPER_SECRET": secret, **more}
        with running(command, *flags, env=env) as program:
            yield program

    return run


def fetched(proxy, user):
    with web_server() as port:
        url = f"http://127.0.0.1:{port}/"
        sent = programs.run(["curl", "-sS", "-p", "--proxy", f"http://{user}@{proxy}", url])
    return sent.stdout.decode()


@pytest.mark.needs("curl")
@pytest.mark.parametrize("theirs", [SECRET, OTHER])
@pytest.mark.parametrize("encrypted", [False, True])
def test_no_log_has_a_secret_or_a_challenge_and_its_answer(theirs, encrypted, debugging, tmp_path):
    door = ["--listen", "127.0.0.1:0"]
    scheme = "netjumper://"
    if encrypted:
        issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
        (tmp_path / "own.pem").chmod(0o600)
        pin = pin_of(ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode()))
        door += ["--listen-tls", "127.0.0.1:0", "--certificate-file", tmp_path / "own.pem"]
        scheme = "netjumper+tls://"
    with debugging(SECRET, "netjumper", *door) as server:
        clear = server.address("netjumper")
        jump = scheme + (server.address("netjumper with TLS") if encrypted else clear)
        jump += f"?pin={pin.hex()}" if encrypted else ""
        here = ["--jump", jump, "--http", "127.0.0.1:0"]
        with debugging(
            theirs, "netjumper-bridge", *here, NETJUMPER_AUTH=f"alice:{PASSWORD}"
        ) as bridge:
            proxy = bridge.address("HTTP")
            got = fetched(proxy, f"alice:{PASSWORD}")
            assert ("you asked for" in got) == (theirs == SECRET)
            fetched(proxy, "alice:hush-no")
            bridge.wait_for("AuthenticationError")
            pairs = [greeting_of(clear, sha1(it)) for it in (SECRET, OTHER)]
            server.wait_for("AuthenticationError")
            if theirs != SECRET:
                bridge.wait_for("WrongSecret")
            assert (bridge.stop(), server.stop()) == (0, 0)
    assert_nothing_is_secret(server.lines + bridge.lines, *pairs)


def test_what_a_jump_server_asks_and_is_answered_is_in_no_bridges_log(debugging):
    with (
        served(HostileJumpServer) as port,
        debugging(
            SECRET, "netjumper-bridge", "--jump", f"127.0.0.1:{port}", "--socks", "127.0.0.1:0"
        ) as bridge,
    ):
        said_to(bridge.address("SOCKS"), b"\5\1\0", socks5_to(b"example.org"))
        bridge.wait_for("example.org:80")
        assert bridge.stop() == 0
    assert_nothing_is_secret(bridge.lines, (CHALLENGE, sha1(SECRET)(CHALLENGE)))
