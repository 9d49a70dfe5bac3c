"""Test the units under a real systemd, as root, after `test` has installed them.

Prints a line for each check that passed, and stops at the first that fails.
"""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from tests.support.deployment import TIMEOUT_S, eventually, run, say
from tests.systemd.reloading import clients_as_a_credential, reload
from tests.systemd.units import (
    BIG,
    BRIDGE,
    HTTP,
    SERVER,
    SLOW_PARTS,
    SOCKS,
    Page,
    Pages,
    begin,
    drop_in,
    fetch,
    finish,
    held,
    journal,
    prop,
    said,
)


def activation(port: int) -> None:
    for unit in (SERVER, BRIDGE):
        assert prop(unit, "ActiveState") == "inactive"
    assert fetch(SOCKS, port) == b"page\n"
    assert fetch(HTTP, port) == b"page\n"
    for unit in (SERVER, BRIDGE):
        eventually(f"{unit} is active", lambda unit=unit: prop(unit, "ActiveState") == "active")
    held("the first connection starts bridge and server; a page is fetched by SOCKS and by HTTP")


def system_calls(port: int) -> None:
    """Bulk data is spliced, and names are looked up in threads: the filters must allow it."""
    assert len(fetch(SOCKS, port, "/big")) == BIG
    assert len(fetch(HTTP, port, "/big")) == BIG
    with socket.create_connection(HTTP, TIMEOUT_S) as sock:
        sock.sendall(f"GET http://localhost:{port}/ HTTP/1.0\r\n\r\n".encode())
        assert finish(sock) == b"page\n"
    limits = Path(f"/proc/{prop(SERVER, 'MainPID')}/limits").read_text()
    held(f"64 MiB are forwarded, a name is looked up, {limits_of(limits)} descriptors may be open")


def limits_of(text: str) -> str:
    return next(line.split()[3] for line in text.splitlines() if line.startswith("Max open files"))


def status() -> None:
    for unit, where in (
        (SERVER, r"netjumper on \[::\]:9527"),
        (BRIDGE, r"SOCKS on 127\.0\.0\.1:1080"),
    ):
        shown = prop(unit, "StatusText")
        assert re.fullmatch(rf"\d+ tunnels?; listening for .*{where}.*", shown), shown
        say(next(it for it in run("systemctl", "status", unit).splitlines() if "Status:" in it))
    held("systemctl status shows where they listen, and their tunnels")


def secrets() -> None:
    secret = Path("/etc/netjumper/secret").read_text().strip()
    for unit in (SERVER, BRIDGE):
        pid = int(prop(unit, "MainPID"))
        assert Path(f"/proc/{pid}").stat().st_uid not in (0, 65534)
        visible = (
            Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        assert secret.encode() not in visible
        assert not any(secret in str(entry) for entry in journal(unit))
    held("the secret is a credential; it is not in the environment, arguments or journal")


def lines() -> None:
    for unit in (SERVER, BRIDGE):
        entries = [it for it in journal(unit) if it.get("_COMM", "").startswith("netjumper")]
        assert entries
        for entry in entries:
            assert entry["PRIORITY"] in "3467", entry
            assert not re.match(r"<\d>|\d{4}-|.*\bINFO\b", str(entry["MESSAGE"])), entry["MESSAGE"]
    say(run("journalctl", "--unit", BRIDGE, "--no-pager", "--lines", "6").rstrip())
    held("journal lines have a priority, and no time of their own")


def hardening() -> None:
    for unit in (SERVER, BRIDGE):
        level = run("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
        say(level.lstrip("→ "))
        assert float(re.search(r": (\d+\.\d)", level)[1]) <= 1.1
        assert prop(unit, "LimitCORE") == "0"
    held("systemd-analyze security is 1.1 at most, and no core dump is written")


def restart_under_load(port: int) -> None:
    done, failures, over = [0], [], threading.Event()

    def load(address: tuple[str, int]) -> None:
        while not over.is_set():
            try:
                assert fetch(address, port) == b"page\n"
                done[0] += 1
            except (OSError, AssertionError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=load, args=(address,)) for address in (SOCKS, HTTP) * 4]
    for thread in threads:
        thread.start()
    for unit in (BRIDGE, SERVER, BRIDGE, SERVER, BRIDGE):
        before = done[0]
        run("systemctl", "restart", unit)
        eventually("pages after a restart", lambda before=before: done[0] > before + 50)
    over.set()
    for thread in threads:
        thread.join()
    assert not failures, f"{len(failures)} of {done[0]}: {failures[:3]}"
    held(f"5 restarts under load: {done[0]} pages, 0 failures")


def stop_drains(port: int) -> None:
    for address in (SOCKS, HTTP):
        fetch(address, port)
        sock = begin(address, port, "/slow")
        assert sock.recv(5) == b"HTTP/"
        began = time.monotonic()
        run("systemctl", "stop", BRIDGE)
        took = time.monotonic() - began
        assert finish(sock) == b"page\n" * SLOW_PARTS
        assert took > 0.5, "the stop did not wait"
        assert prop(BRIDGE, "Result") == "success"
        assert said(BRIDGE, "stopping: waiting up to 10 s for 1 tunnel")
    held(f"systemctl stop waits for a running transfer ({took:.1f} s), which is complete")


def long_drain(port: int) -> None:
    """Stop with a grace period longer than TimeoutStopSec=."""
    text = "[Service]\nEnvironment=NETJUMPER_GRACE_PERIOD=60\nTimeoutStopSec=1\n"
    with drop_in(BRIDGE, text):
        sock = begin(SOCKS, port, "/slow")
        assert sock.recv(5) == b"HTTP/"
        run("systemctl", "stop", BRIDGE)
        assert finish(sock) == b"page\n" * SLOW_PARTS
        assert prop(BRIDGE, "Result") == "success"
    held("a drain longer than TimeoutStopSec= is not interrupted")


def watchdog(port: int) -> None:
    with drop_in(BRIDGE, "[Service]\nWatchdogSec=1\n"):
        fetch(SOCKS, port)
        eventually("the bridge is active", lambda: prop(BRIDGE, "ActiveState") == "active")
        before, restarts = prop(BRIDGE, "MainPID"), int(prop(BRIDGE, "NRestarts"))
        time.sleep(3)
        assert prop(BRIDGE, "MainPID") == before, "a running process was killed"
        os.kill(int(before), signal.SIGSTOP)
        eventually("a restart", lambda: int(prop(BRIDGE, "NRestarts")) > restarts)
        assert fetch(SOCKS, port) == b"page\n"
        assert prop(BRIDGE, "MainPID") != before
        assert said(BRIDGE, "Watchdog timeout")
        run("systemctl", "stop", BRIDGE)
    held("a process that hangs is killed by the watchdog and started again")


def without_sockets(port: int) -> None:
    run("systemctl", "stop", "netjumper.socket", SERVER)
    run("systemctl", "start", SERVER)
    assert fetch(SOCKS, port) == b"page\n"
    run("systemctl", "stop", SERVER)
    run("systemctl", "start", "netjumper.socket")
    assert fetch(SOCKS, port) == b"page\n"
    held("the service without its socket unit opens the port")


def public_port(port: int) -> None:
    """Require a password for a port that other machines can reach."""
    unit, other = "netjumper-bridge-http.socket", "netjumper-bridge-socks.socket"
    run("systemctl", "stop", unit, other, BRIDGE)
    users = Path("/etc/netjumper/users")
    users.write_text("alice:wonder\n")
    users.chmod(0o600)
    everywhere = "[Socket]\nListenStream=\nListenStream=0.0.0.0:8118\n"
    password = (
        "[Service]\nLoadCredential=users:/etc/netjumper/users\n"
        "Environment=NETJUMPER_AUTH_FILE=%d/users\n"
    )
    with drop_in(unit, everywhere):
        run("systemctl", "start", unit)
        with socket.create_connection(HTTP, TIMEOUT_S):
            refusal = r"0\.0\.0\.0:8118 is reachable from other machines"
            eventually("the error line", lambda: said(BRIDGE, refusal))
        run("systemctl", "stop", unit, BRIDGE)
        run("systemctl", "reset-failed")
        with drop_in(BRIDGE, password):
            run("systemctl", "start", unit)
            sock = socket.create_connection(HTTP, TIMEOUT_S)
            sock.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % port)
            assert sock.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 407"
            sock.close()
            run("systemctl", "stop", unit, BRIDGE)
    run("systemctl", "start", unit, other)
    assert fetch(HTTP, port) == b"page\n"
    held("a port that other machines reach needs a password, which comes as a credential")


def unix_socket(port: int) -> None:
    unit, path = "netjumper.socket", "/run/netjumper-test.socket"
    run("systemctl", "stop", unit, SERVER)
    with drop_in(unit, f"[Socket]\nListenStream=\nListenStream={path}\n"):
        run("systemctl", "start", unit)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(TIMEOUT_S)
                sock.connect(path)
                assert sock.recv(1) == b"\x20"
            run("systemctl", "stop", SERVER)
            assert Path(path).is_socket()
        run("systemctl", "stop", unit)
    run("systemctl", "start", unit)
    assert fetch(SOCKS, port) == b"page\n"
    held("the unix socket of a socket unit is kept when the service stops")


def wrong_socket_name(port: int) -> None:
    unit, other = "netjumper-bridge-socks.socket", "netjumper-bridge-http.socket"
    run("systemctl", "stop", unit, other, BRIDGE)
    with drop_in(unit, "[Socket]\nFileDescriptorName=sock\n"):
        run("systemctl", "start", unit)
        with socket.create_connection(SOCKS, TIMEOUT_S):
            eventually("the bridge fails", lambda: prop(BRIDGE, "ExecMainStatus") == "2")
        eventually(
            "the error line",
            lambda: said(BRIDGE, "inherited socket 'sock' is not a listener of the bridge"),
        )
        run("systemctl", "stop", unit, BRIDGE)
    run("systemctl", "reset-failed")
    run("systemctl", "start", unit, other)
    assert fetch(SOCKS, port) == b"page\n"
    held("a socket with a wrong name causes one line and status 2")


def main() -> None:
    server = Pages(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    # The checks restart units more often than the units allow.
    limits = "[Unit]\nStartLimitIntervalSec=0\n"
    with drop_in(SERVER, limits), drop_in(BRIDGE, limits):
        activation(port)
        system_calls(port)
        status()
        secrets()
        lines()
        hardening()
        restart_under_load(port)
        stop_drains(port)
        long_drain(port)
        watchdog(port)
        without_sockets(port)
        wrong_socket_name(port)
        public_port(port)
        unix_socket(port)
        reload(port)
        clients_as_a_credential()


if __name__ == "__main__":
    main()
