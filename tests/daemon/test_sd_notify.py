"""Messages to the service manager (sd_notify(3)), received by a datagram socket."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys

import pytest

from netjumper.daemon.sd_notify import Notifier
from tests.support.clock import Clock
from tests.support.peers import eventually
from tests.support.programs import TIMEOUT_S, running
from tests.support.systemd import Manager

EMBEDDED = ["netjumper-bridge", "--embedded", "--socks", "127.0.0.1:0"]
SERVER = ["netjumper", "--listen", "127.0.0.1:0"]
SECRET = {"NETJUMPER_SECRET": "s3cret-of-18-bytes"}


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    with made.sock:
        yield made


@contextlib.contextmanager
def tunnel(proxy):
    """Yield a client whose tunnel is open."""
    host, _, port = proxy.rpartition(":")
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_connection((host, int(port)), TIMEOUT_S) as client,
    ):
        client.sendall(b"\4\1" + target.getsockname()[1].to_bytes(2) + b"\x7f\0\0\1\0")
        assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
        yield client


def test_manager_is_notified_of_ready_and_stopping(manager):
    watched = {**manager.environ, "WATCHDOG_USEC": "200000"}
    with running(*EMBEDDED, env=watched) as bridge:
        assert manager.receive() == ["READY=1"]
        proxy = bridge.address("SOCKS")
        state = rf"listening for SOCKS on {re.escape(proxy)}"
        manager.receive_until(rf"STATUS=0 tunnels; {state}")
        with tunnel(proxy):
            manager.receive_until(rf"STATUS=1 tunnel; {state}")
            bridge.process.terminate()
            *_, last = manager.receive_until("STOPPING=1")
            assert last == ["STOPPING=1"]
            output = manager.receive()
            assert output[0] == "STATUS=stopping: waiting for 1 tunnel"
            assert "EXTEND_TIMEOUT_USEC=20000000" in output
            assert manager.receive() == ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=20000000"]
        assert bridge.process.wait(TIMEOUT_S) == 0


def test_watchdog_messages_are_sent_while_the_service_runs(manager):
    watched = {**SECRET, **manager.environ, "WATCHDOG_USEC": "100000"}
    with running(*SERVER, env=watched) as server:
        manager.receive_until("STATUS=.*")
        assert [manager.receive() for _ in range(3)] == [["WATCHDOG=1"]] * 3
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
        manager.receive_all()
        manager.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            manager.receive()
        server.process.send_signal(signal.SIGCONT)
        assert server.stop() == 0


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "1000"}, {"WATCHDOG_USEC": "soon"}]
)
def test_watchdog_messages_are_sent_only_if_requested(manager, watchdog):
    with running(*SERVER, env={**SECRET, **manager.environ, **watchdog}) as server:
        assert manager.receive() == ["READY=1"]
        assert server.stop() == 0
    messages = manager.receive_all()
    assert ["STOPPING=1"] in messages
    assert not any("WATCHDOG=1" in message for message in messages)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux only")
def test_abstract_socket_of_the_manager_is_notified():
    made = Manager(f"\0netjumper-notify-{os.getpid()}")
    with made.sock, running(*SERVER, env={**SECRET, **made.environ}) as server:
        assert made.receive() == ["READY=1"]
        assert server.stop() == 0


def test_service_that_cannot_listen_is_never_ready(manager):
    with socket.create_server(("127.0.0.1", 0)) as in_use:
        address = f"127.0.0.1:{in_use.getsockname()[1]}"
        command = ["netjumper", "--listen", address]
        with running(*command, env={**SECRET, **manager.environ}) as server:
            assert server.process.wait(TIMEOUT_S) == 1
    assert manager.receive_all() == []


@pytest.mark.parametrize(
    "path", ["/nowhere/at/all", "/" + "x" * 200, "relative", "@", "", "vsock:2"]
)
def test_unreachable_manager_is_ignored(path):
    environ = {**SECRET, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000"}
    with running(*SERVER, env=environ) as server:
        server.wait_for("try: netjumper-bridge")
        assert server.stop() == 0
    assert [line for line in server.lines if "INFO" not in line] == []


# --- in this process -----------------------------------------------------------------------


class CountingNotifier:
    """A notifier that counts how often it asks for the state of the service."""

    def __init__(self, environ, loop=None):
        self.calls = 0
        self.notifier = Notifier(loop or asyncio.get_running_loop(), environ, self._describe)

    def _describe(self):
        self.calls += 1
        return "state"


async def test_notifier_without_a_manager_does_nothing():
    counting = CountingNotifier({"WATCHDOG_USEC": "1000"})
    counting.notifier.ready()
    counting.notifier.stopping()
    counting.notifier.close()
    assert counting.calls == 0


async def test_managers_variables_are_removed_from_the_environment(manager):
    environ = {**manager.environ, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1", "PATH": "/bin"}
    CountingNotifier(environ).notifier.close()
    assert environ == {"PATH": "/bin"}


async def test_full_socket_of_the_manager_does_not_block(manager, monkeypatch):
    loop = asyncio.get_running_loop()
    counting = CountingNotifier({**manager.environ, "WATCHDOG_USEC": "2000"})
    monkeypatch.setattr("netjumper.daemon.sd_notify.SEND_TIMEOUT_S", 0.05)
    counting.notifier.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.sendto(b"noise", manager.environ["NOTIFY_SOCKET"])
    calls, began = counting.calls, loop.time()
    await eventually(lambda: counting.calls > calls + 50)
    assert loop.time() - began < 5.0
    counting.notifier.close()


def test_unchanged_state_is_not_sent_again(manager):
    clock = Clock()
    counting = CountingNotifier({**manager.environ, "WATCHDOG_USEC": "2000000"}, clock)
    counting.notifier.ready()
    clock.advance(5.5)
    counting.notifier.close()
    first, *others = manager.receive_all()[1:]
    assert first == ["STATUS=state", "WATCHDOG=1"]
    assert others == [["WATCHDOG=1"]] * 5


def test_closed_notifier_sends_nothing(manager):
    clock = Clock()
    counting = CountingNotifier({**manager.environ, "WATCHDOG_USEC": "2000000"}, clock)
    counting.notifier.ready()
    counting.notifier.close()
    assert clock.timers == 0
    manager.receive_all()
    clock.advance(60.0)
    assert (counting.calls, manager.receive_all()) == (1, [])
