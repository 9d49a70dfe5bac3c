"""SIGHUP: a jump server takes its settings anew, or keeps those that it has."""

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
from tests.support.programs import PATIENCE, Program, running, web_server
from tests.support.tls_pair import encrypt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")

TAKEN = "INFO settings reloaded"
KEPT = "ERROR reload failed, keeping the previous settings"


def tables(**secrets):
    return "".join(f'[{name}]\nsecrets = ["{it}"]\n' for name, it in secrets.items())


def asked(address, secret, target=None):
    """Return a connection that has given its answer, and what the server says of it."""
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), PATIENCE)
    challenge = sock.recv(33, socket.MSG_WAITALL)[1:]
    sock.sendall(b"\x14" + hashlib.sha1(challenge + secret.encode()).digest())
    return sock, sock.recv(1)


def lets_in(address, secret):
    sock, verdict = asked(address, secret)
    sock.close()
    return verdict == b"\0"


def outcome_of(address, secret, target):
    """Return what is said of a target on loopback; an empty text is yes."""
    sock, _ = asked(address, secret)
    with sock:
        sock.sendall(bytes((len(target),)) + target.encode())
        said = sock.recv(1)
        return "" if said == b"\0" else sock.recv(256)[1:].decode()


def hang_up(program: Program, said: str, count: int = 1):
    program.process.send_signal(signal.SIGHUP)
    program.wait_for(said, count)


@pytest.fixture
def clients_file(private):
    return private("clients.toml", tables(alice="one"))


def issued(path):
    path.touch(0o600)
    trustme.CA().issue_cert("jump.example").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.fixture
def certificate(tmp_path):
    return issued(tmp_path / "server.pem")


@pytest.fixture
def certificate_of_another(tmp_path):
    return issued(tmp_path / "other.pem")


@pytest.fixture
def config(private, clients_file):
    def write(*lines):
        lines = ["[server]", 'listen = ["127.0.0.1:0"]', 'clients_file = "clients.toml"', *lines]
        return private("config.toml", "\n".join(lines) + "\n")

    return write


def test_clients_come_and_go(config, clients_file):
    with running("netjumper", "--config", str(config())) as it:
        address = it.address("netjumper")
        assert (lets_in(address, "one"), lets_in(address, "two")) == (True, False)
        clients_file.write_text(tables(bob="two"))
        hang_up(it, TAKEN)
        assert (lets_in(address, "one"), lets_in(address, "two")) == (False, True)
        assert it.stop() == 0


def test_a_tunnel_goes_on(config, clients_file):
    with web_server() as port, running("netjumper", "--config", str(config())) as it:
        sock, _ = asked(it.address("netjumper"), "one")
        with sock:
            target = f"127.0.0.1:{port}"
            sock.sendall(bytes((len(target),)) + target.encode())
            assert sock.recv(1) == b"\0"
            clients_file.write_text(tables(bob="two"))
            hang_up(it, TAKEN)
            sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            assert sock.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("[alice]\nsecrets = 1\n", r"ERROR \S+: \[server\] clients_file: \S+: \[alice\] secrets: "),
        ("[alice\n", r"ERROR \S+: \[server\] clients_file: \S+ is not valid TOML"),
        (None, r"ERROR \S+: \[server\] clients_file: no such file"),
    ],
)
def test_with_a_mistake_in_a_file_the_old_settings_hold(config, clients_file, mistake, told):
    with running("netjumper", "--config", str(config())) as it:
        address = it.address("netjumper")
        if mistake is None:
            clients_file.unlink()
        else:
            clients_file.write_text(mistake)
        hang_up(it, KEPT)
        it.wait_for(told)
        assert lets_in(address, "one")
        clients_file.write_text(tables(alice="two"))
        clients_file.chmod(0o600)
        hang_up(it, TAKEN)
        assert lets_in(address, "two")


def test_with_a_mistake_in_the_settings_the_old_ones_hold(config):
    path = config()
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper")
        config("max_tunnels = -1")
        hang_up(it, KEPT)
        it.wait_for(r"ERROR \S+: \[server\] max_tunnels: expected a whole number, 0 or more")
        assert lets_in(address, "one")


def test_rules_limits_and_the_log_level_are_taken_anew(config):
    path = config()
    with web_server() as port, running("netjumper", "--config", str(path)) as it:
        address, target = it.address("netjumper"), f"127.0.0.1:{port}"
        assert outcome_of(address, "one", target) == ""
        config('log_level = "debug"', 'deny = ["127.0.0.1"]')
        hang_up(it, TAKEN)
        told = outcome_of(address, "one", target)
        assert told == f"dial tcp {target}: denied by a rule, not permitted"
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
        it.wait_for("DEBUG .* connected and asked for nothing")
        config("max_tunnels_per_client = 1")
        hang_up(it, TAKEN, 2)
        sock, _ = asked(address, "one")
        with sock:
            sock.sendall(bytes((len(target),)) + target.encode())
            assert sock.recv(1) == b"\0"
            assert "limit of 1 per client reached, " in outcome_of(address, "one", target)


def test_what_only_a_restart_can_change_is_told(config):
    path = config()
    with running("netjumper", "--config", str(path)) as it:
        it.address("netjumper")
        config("dial_timeout = 1.0")
        hang_up(it, TAKEN)
        told = r"WARNING \S+: \[server\] dial_timeout: changed; restart required"
        it.wait_for(told)
        hang_up(it, TAKEN, 2)
        it.wait_for(told, 2)
        config()
        hang_up(it, TAKEN, 3)
        assert len([line for line in it.lines if re.search(told, line)]) == 2


def test_every_worker_takes_them_anew_and_so_does_one_that_begins_later(config, clients_file):
    path = config("workers = 2")
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper")
        clients_file.write_text(tables(bob="two"))
        hang_up(it, TAKEN, 2)
        assert [lets_in(address, "two") for _ in range(20)] == [True] * 20
        clients_file.write_text("[bob\n")
        hang_up(it, KEPT)
        assert [lets_in(address, "two") for _ in range(20)] == [True] * 20
        assert it.stop() == 0


def test_tls_that_is_new_takes_a_restart_and_the_rest_is_taken(config, clients_file, certificate):
    with running("netjumper", "--config", str(config())) as it:
        address = it.address("netjumper")
        config('listen_tls = ["127.0.0.1:0"]', f'certificate_file = "{certificate}"')
        clients_file.write_text(tables(bob="two"))
        hang_up(it, TAKEN)
        it.wait_for(r"WARNING \S+: \[server\] listen_tls: changed; restart required")
        assert lets_in(address, "two")
        config('certificate_file = "missing.pem"', 'listen_tls = ["127.0.0.1:0"]')
        hang_up(it, KEPT)
        it.wait_for(r"certificate_file: \S+missing.pem: No such file")


def test_what_listens_goes_on_with_what_is_new_even_where_the_settings_have_no_place_for_it(
    config, certificate, certificate_of_another
):
    def shown():
        return ssl.get_server_certificate(tuple(address.rsplit(":", 1)))

    path = config('listen_tls = ["127.0.0.1:0"]', f'certificate_file = "{certificate}"')
    with running("netjumper", "--config", str(path)) as it:
        address = it.address("netjumper with TLS")
        before = shown()
        config(f'certificate_file = "{certificate_of_another}"')
        hang_up(it, TAKEN)
        it.wait_for(r"WARNING listen_tls .default.: changed; restart required")
        assert shown() != before


def test_the_end_does_not_wait_for_settings_that_are_being_read(config):
    begun, ended, go_on = (threading.Event() for _ in range(3))

    def slow():
        begun.set()
        go_on.wait(PATIENCE)
        ended.set()
        raise SettingsError("too late")

    async def serve():
        server = JumpServer(
            prepare(load(ServerSettings, CommandLine(config=str(config()))), {}), {}
        )
        server.reload(slow)
        await asyncio.to_thread(begun.wait)

    asyncio.run(serve())
    assert not ended.is_set()
    go_on.set()
    ended.wait(PATIENCE)


def test_an_encrypted_key_asks_nobody(config, certificate):
    lines = ['listen_tls = ["127.0.0.1:0"]', f'certificate_file = "{certificate}"']
    with running("netjumper", "--config", str(config(*lines))) as it:
        it.address("netjumper with TLS")
        encrypt(certificate)
        hang_up(it, KEPT)
        it.wait_for(r"ERROR \S+ \[server\] certificate_file: \S+: the key in it is encrypted")


async def test_what_nobody_thought_of_is_told_and_the_old_settings_hold(config, caplog):
    prepared = prepare(load(ServerSettings, CommandLine(config=str(config()))), {})
    server = JumpServer(prepared, {})

    def fail():
        raise RuntimeError("s3cret")

    server.reload(fail)
    await server._reloading
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "bug in netjumper: RuntimeError",
        "reload failed, keeping the previous settings",
    ]
