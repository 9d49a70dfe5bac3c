"""The contents of a log: lines are printable whatever a peer sends, and contain no secret."""

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
from tests.support.programs import TIMEOUT_S, running, web_server
from tests.support.servers import serve_in_threads

HOSTILE = "\x1b[2J\r\n2026-01-01T00:00:00.000Z INFO forged\x07\x7f\x9b\u2028\u2029\u202e\u2066"
BYTES = HOSTILE.encode()
SECRET, OTHER, PASSWORD = "hush-hush-hush", "hush-another-hush", "hush-pass-hush"
CHALLENGE = bytes(range(32, 64))
STYLES = ["plain", "json", "rich"]


class HostileJumpServer(socketserver.BaseRequestHandler):
    """Accepts every secret and refuses every target with a hostile text."""

    def handle(self):
        self.request.sendall(b"\x20" + CHALLENGE)
        self.request.recv(21, socket.MSG_WAITALL)
        self.request.sendall(b"\0")
        if self.request.recv(1):
            self.request.recv(1024)
            self.request.sendall(b"\1" + bytes([len(BYTES)]) + BYTES)


def send_all(address, *pieces):
    """Send each piece and wait for an answer to it, then close the connection."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), TIMEOUT_S) as sock,
        contextlib.suppress(ConnectionError),
    ):
        for piece in pieces:
            sock.sendall(piece)
            sock.recv(1024)


def authenticate(address, answer):
    """Answer the challenge, ask for a hostile target, and return challenge and answer."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as sock:
        challenge = sock.recv(33, socket.MSG_WAITALL)[1:]
        response = answer(challenge)
        sock.sendall(b"\x14" + response)
        if sock.recv(1) == b"\0":
            sock.sendall(bytes([len(BYTES)]) + BYTES)
        sock.recv(1024)
    return challenge, response


def sha1(secret):
    return lambda challenge: hashlib.sha1(challenge + secret.encode()).digest()


def socks5_to(host):
    return b"\5\1\0\3" + bytes([len(host)]) + host + b"\0\x50"


def send_hostile_requests(socks, http):
    """Send hostile text in every field of a request that can contain text."""
    send_all(socks, b"\5\1\0", socks5_to(b"example.org"))  # the jump server's text
    send_all(socks, b"\5\1\0", socks5_to(BYTES))
    send_all(socks, b"\4\1\0\x50\x7f\0\0\1" + BYTES.replace(b"\0", b"") + b"\0")
    send_all(socks, b"\4\1\0\x50\0\0\0\1" + b"user\0" + BYTES + b"\0")
    send_all(http, b"CONNECT " + BYTES + b":443 HTTP/1.1\r\n\r\n")
    send_all(http, b"CONNECT a:443 HTTP/1.1\r\nHost: " + BYTES + b"\r\n\r\n")
    send_all(http, b"GET http://" + BYTES + b"/ HTTP/1.1\r\n\r\n")
    send_all(http, b"GET http://example.org/" + BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    send_all(http, BYTES + b"\r\n\r\n")


def assert_is_clean(program, style, least):
    """Check that there are at least `least` lines, and that each is printable and one entry."""
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
def test_hostile_input_to_a_bridge_is_logged_in_printable_lines(style, tmp_path):
    flags = ["--log-level", "debug", "--log-format", style, "--max-parked", "0"]
    listeners = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with serve_in_threads(HostileJumpServer) as port, contextlib.ExitStack() as stack:
        bridge = stack.enter_context(
            running("netjumper-bridge", "--jump", f"127.0.0.1:{port}", *listeners, *flags,
                    "--http", f"unix:{tmp_path}/\x1b[2J\u202e", env={"NETJUMPER_SECRET": SECRET})
        )  # fmt: skip
        socks = bridge.wait_for(r"SOCKS\b.*?(127\.0\.0\.1:\d+)")[0][1]
        http = bridge.wait_for(r"HTTP\b.*?(127\.0\.0\.1:\d+)")[0][1]
        send_hostile_requests(socks, http)
        bridge.wait_for(r"example\.org:80.*forged")
        assert bridge.stop() == 0
    assert_is_clean(bridge, style, 6)
    assert all("\x1b" not in it and "\u202e" not in it for it in bridge.lines)


@pytest.mark.parametrize("style", STYLES)
def test_hostile_input_to_a_jump_server_is_logged_in_printable_lines(style):
    flags = ["--log-level", "debug", "--log-format", style, "--listen", "127.0.0.1:0"]
    with running("netjumper", *flags, env={"NETJUMPER_SECRET": SECRET}) as server:
        address = server.wait_for(r"netjumper\b.*?(127\.0\.0\.1:\d+)")[0][1]
        send_all(address, BYTES)
        send_all(address, b"\xff" + BYTES * 6)
        authenticate(address, sha1(SECRET))
        server.wait_for(r"-> .*forged.*")
        assert server.stop() == 0
    assert_is_clean(server, style, 3)


@pytest.mark.parametrize("command", ["netjumper", "netjumper-bridge"])
def test_file_name_in_an_error_is_printable(command, tmp_path):
    missing = f"{tmp_path}/\x1b[2J\n\u202e"
    done = programs.run([programs.installed(command), "--secret-file", missing])
    message = done.stderr.decode()
    assert done.returncode == 2
    assert message.removesuffix("\n").isprintable()


# --- secrets -------------------------------------------------------------------------------


def assert_nothing_is_secret(lines, *pairs):
    """Check that no line contains a secret, nor a challenge or an answer in any encoding."""
    text = "\n".join(lines)
    assert "hush" not in text
    for data in (it for pair in pairs for it in pair):
        for spelling in (data.hex(), base64.b64encode(data).decode()[:16], repr(data)[2:-1]):
            assert spelling.lower()[:16] not in text.lower()


@pytest.fixture
def debugging():
    """Return a function that runs a command with a secret at log level debug."""

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
def test_no_log_contains_a_secret_or_a_challenge_and_its_answer(
    theirs, encrypted, debugging, tmp_path
):
    listeners = ["--listen", "127.0.0.1:0"]
    scheme = "netjumper://"
    if encrypted:
        issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
        (tmp_path / "own.pem").chmod(0o600)
        pin = pin_of(ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode()))
        listeners += ["--listen-tls", "127.0.0.1:0", "--certificate-file", tmp_path / "own.pem"]
        scheme = "netjumper+tls://"
    with debugging(SECRET, "netjumper", *listeners) as server:
        clear = server.address("netjumper")
        jump = scheme + (server.address("netjumper with TLS") if encrypted else clear)
        jump += f"?pin={pin.hex()}" if encrypted else ""
        here = ["--jump", jump, "--http", "127.0.0.1:0"]
        with debugging(
            theirs, "netjumper-bridge", *here, NETJUMPER_AUTH=f"alice:{PASSWORD}"
        ) as bridge:
            proxy = bridge.address("HTTP")
            got = fetched(proxy, f"alice:{PASSWORD}")
            assert ("you requested" in got) == (theirs == SECRET)
            fetched(proxy, "alice:hush-no")
            bridge.wait_for("AuthenticationError")
            pairs = [authenticate(clear, sha1(it)) for it in (SECRET, OTHER)]
            server.wait_for("AuthenticationError")
            if theirs != SECRET:
                bridge.wait_for("WrongSecret")
            assert (bridge.stop(), server.stop()) == (0, 0)
    assert_nothing_is_secret(server.lines + bridge.lines, *pairs)


def test_log_of_a_bridge_contains_no_challenge_and_no_answer(debugging):
    with (
        serve_in_threads(HostileJumpServer) as port,
        debugging(
            SECRET, "netjumper-bridge", "--jump", f"127.0.0.1:{port}", "--socks", "127.0.0.1:0"
        ) as bridge,
    ):
        send_all(bridge.address("SOCKS"), b"\5\1\0", socks5_to(b"example.org"))
        bridge.wait_for("example.org:80")
        assert bridge.stop() == 0
    assert_nothing_is_secret(bridge.lines, (CHALLENGE, sha1(SECRET)(CHALLENGE)))
