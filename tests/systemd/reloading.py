"""Checks of `systemctl reload` and of the clients file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.deployment import eventually, run, works
from tests.systemd.units import (
    SERVER,
    SLOW_PARTS,
    SOCKS,
    begin,
    drop_in,
    fetch,
    finish,
    held,
    prop,
    said,
)

BIN = "/opt/netjumper/bin"
SETTINGS = Path("/etc/netjumper/config.toml")
CLIENTS = Path("/etc/netjumper/clients.toml")
OWN_USER = f"[Service]\nEnvironment=NETJUMPER_CLIENTS_FILE={CLIENTS}\n"
AS_A_CREDENTIAL = (
    f"[Service]\nLoadCredential=clients.toml:{CLIENTS}\n"
    "Environment=NETJUMPER_CLIENTS_FILE=%d/clients.toml\n"
)


def gets_page(port: int) -> bool:
    try:
        return fetch(SOCKS, port) == b"page\n"
    except (AssertionError, OSError):
        return False


def knows(secret: str) -> bool:
    """Return whether a client with this secret is accepted."""
    command = (f"{BIN}/netjumper-bridge", "healthcheck", "--jump", "127.0.0.1:9527", "--deep")
    return works("env", f"NETJUMPER_SECRET={secret}", *command)


def clients_file(secret: str) -> str:
    return f'[alice]\nsecrets = ["{secret}"]\n'


def reload(port: int) -> None:
    """Reload the settings, and the clients as a permanent user."""
    assert gets_page(port)
    pid, before = prop(SERVER, "MainPID"), SETTINGS.read_text()
    open_tunnel = begin(SOCKS, port, "/slow")
    assert open_tunnel.recv(5) == b"HTTP/"
    SETTINGS.write_text(before.replace("[server]", f'[server]\ndeny = [":{port}"]'))
    run("systemctl", "reload", SERVER)
    eventually("the new rule applies", lambda: not gets_page(port))
    assert finish(open_tunnel) == b"page\n" * SLOW_PARTS
    SETTINGS.write_text("[server\n")
    run("systemctl", "reload", SERVER)
    eventually("the mistake is reported", lambda: said(SERVER, f"{SETTINGS} is not valid TOML"))
    assert not gets_page(port)
    SETTINGS.write_text(before)
    run("systemctl", "reload", SERVER)
    eventually("the old rules apply", lambda: gets_page(port))
    assert prop(SERVER, "MainPID") == pid
    held("systemctl reload reloads the settings; tunnels are kept, and a mistake changes nothing")
    with permanent_user(), drop_in(SERVER, OWN_USER):
        CLIENTS.write_text(clients_file("secret-of-number-one"))
        CLIENTS.chmod(0o400)
        run("chown", "netjumper", str(CLIENTS))
        run("systemctl", "restart", SERVER)
        assert knows("secret-of-number-one")
        pid = prop(SERVER, "MainPID")
        CLIENTS.write_text(clients_file("secret-of-number-two"))
        run("systemctl", "reload", SERVER)
        eventually("the new secret is known", lambda: knows("secret-of-number-two"))
        assert not knows("secret-of-number-one")
        assert prop(SERVER, "MainPID") == pid
        run("systemctl", "stop", "netjumper.socket", SERVER)
    held("systemctl reload reloads the clients of a service with a permanent user")


@contextlib.contextmanager
def permanent_user() -> Iterator[None]:
    """Create a user with the name of the service; systemd then runs the service as this user."""
    run("systemctl", "stop", "netjumper.socket", SERVER)
    add = ("useradd", "--system", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
    run(*add, "netjumper")
    run("systemctl", "start", "netjumper.socket")
    try:
        yield
    finally:
        run("userdel", "netjumper")


def clients_as_a_credential() -> None:
    CLIENTS.unlink(missing_ok=True)
    CLIENTS.write_text(clients_file("three"))
    CLIENTS.chmod(0o600)
    with drop_in(SERVER, AS_A_CREDENTIAL):
        run("systemctl", "start", "netjumper.socket", SERVER)
        assert knows("three")
        CLIENTS.write_text(clients_file("four"))
        run("systemctl", "restart", SERVER)
        assert knows("four")
        assert not knows("three")
    held("the clients file can be a credential; a restart reads it again")
