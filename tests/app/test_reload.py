"""SIGHUP: a jump server reloads its settings, or keeps the previous ones."""

import asyncio
import hashlib
import re
import signal
import socket
import ssl
import sys
import threading

import pytest
import trustme

from netjumper.app.jump_server import JumpServer, prepare
from netjumper.errors import SettingsError
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine
from tests.support.programs import TIMEOUT_S, Program, running, web_server
from tests.support.tls_pair import encrypt_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")

RELOADED = "INFO settings reloaded"
KEPT = "ERROR reload failed, keeping the previous settings"


def clients_toml(**secrets):
    return "".join(f'[{name}]\nsecrets = ["{it}"]\n' for name, it in secrets.items())


def authenticate(address, secret):
    """Return a connection that has sent its answer, and the verdict."""
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), TIMEOUT_S)
    challenge = sock.recv(33, socket.MSG_WAITALL)[1:]
    sock.sendall(b"\x14" + hashlib.sha1(challenge + secret.encode()).digest())
    return sock, sock.recv(1)


def accepts(address, secret):
    sock, verdict = authenticate(address, secret)
    sock.close()
    return verdict == b"\0"


def outcome_of(address, secret, target):
    """Return why a target on loopback is refused; an empty text if it is not."""
    sock, _ = authenticate(address, secret)
    with sock:
        sock.sendall(bytes((len(target),)) + target.encode())
        data = sock.recv(1)
        return "" if data == b"\0" else sock.recv(256)[1:].decode()


def reload(program: Program, pattern: str, count: int = 1):
    program.process.send_signal(signal.SIGHUP)
    program.wait_for(pattern, count)


@pytest.fixture
def clients_file(private):
    return private("clients.toml", clients_toml(alice="secret-of-number-one"))


def issue(path):
    path.touch(0o600)
    trustme.CA().issue_cert("jump.example").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.fixture
def certificate(tmp_path):
    return issue(tmp_path / "server.pem")


@pytest.fixture
def other_certificate(tmp_path):
    return issue(tmp_path / "other.pem")


@pytest.fixture
def config(private, clients_file):
    def write(*lines):
        lines = ["[server]", 'listen = ["127.0.0.1:0"]', 'clients_file = "clients.toml"', *lines]
        return private("config.toml", "\n".join(lines) + "\n")

    return write


def test_reload_adds_and_removes_clients(config, clients_file):
    with running("netjumper", "--config", str(config())) as it:
        address = it.address("netjumper")
        assert (
            accepts(address, "secret-of-number-one"),
            accepts(address, "secret-of-number-two"),
        ) == (True, False)
        clients_file.write_text(clients_toml(bob="secret-of-number-two"))
        reload(it, RELOADED)
        assert (
            accepts(address, "secret-of-number-one"),
            accepts(address, "secret-of-number-two"),
        ) == (False, True)
        assert it.stop() == 0


def test_reload_keeps_open_tunnels(config, clients_file):
    with web_server() as port, running("netjumper", "--config", str(config())) as it:
        sock, _ = authenticate(it.address("netjumper"), "secret-of-number-one")
        with sock:
            target = f"127.0.0.1:{port}"
            sock.sendall(bytes((len(target),)) + target.encode())
            assert sock.recv(1) == b"\0"
            clients_file.write_text(clients_toml(bob="secret-of-number-two"))
            reload(it, RELOADED)
            sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            assert sock.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("[alice]\nsecrets = 1\n", r"ERROR \S+: \[server\] clients_file: \S+: \[alice\] secrets: "),
        ("[alice\n", r"ERROR \S+: \[server\] clients_file: \S+ is not valid TOML"),
        (None, r"ERROR \S+: \[server\] clients_file: no such file"),
    ],
)
def test_mistake_in_a_file_keeps_the_previous_settings(config, clients_file, mistake, message):
    with running("netjumper", "--config", str(config())) as it:
        address = it.address("netjumper")
        if mistake is None:
            clients_file.unlink()
        else:
            clients_file.write_text(mistake)
        reload(it, KEPT)
        it.wait_for(message)
        assert accepts(address, "secret-of-number-one")
        clients_file.write_text(clients_toml(alice="secret-of-number-two"))
        clients_file.chmod(0o600)
        reload(it, RELOADED)
        assert accepts(address, "secret-of-number-two")


def test_mistake_in_the_settings_keeps_the_previous_ones(config):
    path = config()
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper")
        config("max_tunnels = -1")
        reload(it, KEPT)
        it.wait_for(r"ERROR \S+: \[server\] max_tunnels: expected a whole number, 0 or more")
        assert accepts(address, "secret-of-number-one")


def test_rules_limits_and_log_level_are_reloaded(config):
    path = config()
    with web_server() as port, running("netjumper", "--config", str(path)) as it:
        address, target = it.address("netjumper"), f"127.0.0.1:{port}"
        assert outcome_of(address, "secret-of-number-one", target) == ""
        config('log_level = "debug"', 'deny = ["127.0.0.1"]')
        reload(it, RELOADED)
        message = outcome_of(address, "secret-of-number-one", target)
        assert message == f"dial tcp {target}: refused by a rule, not permitted"
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
        it.wait_for("DEBUG .* connected and requested nothing")
        config("max_tunnels_per_client = 1")
        reload(it, RELOADED, 2)
        sock, _ = authenticate(address, "secret-of-number-one")
        with sock:
            sock.sendall(bytes((len(target),)) + target.encode())
            assert sock.recv(1) == b"\0"
            assert "limit of 1 per client reached, " in outcome_of(
                address, "secret-of-number-one", target
            )


def test_setting_that_needs_a_restart_causes_a_warning(config):
    path = config()
    with running("netjumper", "--config", str(path)) as it:
        it.address("netjumper")
        config("dial_timeout = 1.0")
        reload(it, RELOADED)
        message = r"WARNING \S+: \[server\] dial_timeout: changed; restart required"
        it.wait_for(message)
        reload(it, RELOADED, 2)
        it.wait_for(message, 2)
        config()
        reload(it, RELOADED, 3)
        assert len([line for line in it.lines if re.search(message, line)]) == 2


def test_every_worker_reloads(config, clients_file):
    path = config("workers = 2")
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper")
        clients_file.write_text(clients_toml(bob="secret-of-number-two"))
        reload(it, RELOADED, 2)
        assert [accepts(address, "secret-of-number-two") for _ in range(20)] == [True] * 20
        clients_file.write_text("[bob\n")
        reload(it, KEPT)
        assert [accepts(address, "secret-of-number-two") for _ in range(20)] == [True] * 20
        assert it.stop() == 0


def test_new_tls_listener_needs_a_restart_and_the_rest_does_not(config, clients_file, certificate):
    with running("netjumper", "--config", str(config())) as it:
        address = it.address("netjumper")
        config('listen_tls = ["127.0.0.1:0"]', f'certificate_file = "{certificate}"')
        clients_file.write_text(clients_toml(bob="secret-of-number-two"))
        reload(it, RELOADED)
        it.wait_for(r"WARNING \S+: \[server\] listen_tls: changed; restart required")
        assert accepts(address, "secret-of-number-two")
        config('certificate_file = "missing.pem"', 'listen_tls = ["127.0.0.1:0"]')
        reload(it, KEPT)
        it.wait_for(r"certificate_file: \S+missing.pem: No such file")


def test_certificate_is_reloaded_even_if_listen_tls_is_removed(
    config, certificate, other_certificate
):
    def served_certificate():
        return ssl.get_server_certificate(tuple(address.rsplit(":", 1)))

    path = config('listen_tls = ["127.0.0.1:0"]', f'certificate_file = "{certificate}"')
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper with TLS")
        before = served_certificate()
        config(f'certificate_file = "{other_certificate}"')
        reload(it, RELOADED)
        it.wait_for(r"WARNING listen_tls .default.: changed; restart required")
        assert served_certificate() != before


def test_shutdown_does_not_wait_for_a_reload(config):
    begun, ended, resume = (threading.Event() for _ in range(3))

    def slow_load():
        begun.set()
        resume.wait(TIMEOUT_S)
        ended.set()
        raise SettingsError("too late")

    async def serve():
        server = JumpServer(
            prepare(load(ServerSettings, CommandLine(config=str(config()))), {}), {}
        )
        server.reload(slow_load)
        await asyncio.to_thread(begun.wait)

    asyncio.run(serve())
    assert not ended.is_set()
    resume.set()
    ended.wait(TIMEOUT_S)


def test_certificate_and_its_key_are_reloaded_from_two_files(
    config, certificate, other_certificate, tmp_path
):
    files = tmp_path / "chain.pem", tmp_path / "key.pem"

    def renew(source):
        key, begin, rest = source.read_text().partition("-----BEGIN CERTIFICATE-----")
        for file, text in zip(files, (begin + rest, key), strict=True):
            file.write_text(text)
            file.chmod(0o600)

    def served_certificate():
        return ssl.get_server_certificate(tuple(address.rsplit(":", 1)))

    renew(certificate)
    lines = [f'certificate_file = "{files[0]}"', f'key_file = "{files[1]}"']
    path = config('listen_tls = ["127.0.0.1:0"]', *lines)
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper with TLS")
        before = served_certificate()
        renew(other_certificate)
        reload(it, RELOADED)
        assert served_certificate() != before


def test_encrypted_key_causes_no_prompt(config, certificate):
    lines = ['listen_tls = ["127.0.0.1:0"]', f'certificate_file = "{certificate}"']
    with running("netjumper", "--config", str(config(*lines))) as it:
        it.address("netjumper with TLS")
        encrypt_key(certificate)
        reload(it, KEPT)
        it.wait_for(r"ERROR \S+ \[server\] certificate_file: \S+: the key is encrypted")


async def test_bug_in_a_reload_keeps_the_previous_settings(config, caplog):
    prepared = prepare(load(ServerSettings, CommandLine(config=str(config()))), {})
    server = JumpServer(prepared, {})

    def fail():
        raise RuntimeError("s3cret-of-18-bytes")

    server.reload(fail)
    await server._reloading
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "bug in netjumper: RuntimeError",
        "reload failed, keeping the previous settings",
    ]
