"""The network, the name servers or the clock fail while the programs run."""

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.test_faults import asking, works
from tests.e2e.test_killed import target, tunnelled
from tests.support.namespaces import call_in_namespace
from tests.support.programs import TIMEOUT_S, chain_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces of Linux")
HANGING = 30


# --- the network --------------------------------------------------------------------------


def network(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


def pull_the_cable() -> None:
    with target() as listener, chain_running({"NETJUMPER_PEER_TIMEOUT": "1"}) as chain:
        with tunnelled(chain, listener.getsockname()[1]):
            serving, _ = listener.accept()
            with serving:
                assert len(serving.recv(100)) == 18
                network("down")
                chain.server.wait_for(r"INFO .* up 18 down 0 bytes, .*, reset")
                network("up")
        assert works(chain.bridge)


@pytest.mark.needs("ip")
def test_tunnel_of_a_lost_peer_is_reset():
    call_in_namespace(__name__, pull_the_cable.__name__)


# --- names --------------------------------------------------------------------------------


@contextmanager
def silent_name_server() -> Iterator[socket.socket]:
    """A name server without answers, the only one of this process and of those that it starts."""
    with TemporaryDirectory() as directory, socket.socket(type=socket.SOCK_DGRAM) as sock:
        conf = Path(directory) / "resolv.conf"
        conf.write_text("nameserver 127.0.0.1\noptions timeout:30\n")
        subprocess.run(["mount", "--bind", conf, "/etc/resolv.conf"], check=True)
        sock.bind(("127.0.0.1", 53))
        sock.settimeout(TIMEOUT_S)
        yield sock


def ask_for_names_that_hang() -> None:
    with (
        silent_name_server() as names,
        chain_running({"NETJUMPER_DIAL_TIMEOUT": "3"}) as chain,
        ExitStack() as stack,
    ):
        hanging = [
            stack.enter_context(asking(chain.bridge, 80, f"{number}.example"))
            for number in range(HANGING)
        ]
        for _ in hanging:
            assert b"example" in names.recv(512)
        assert works(chain.bridge)
        assert not select.select(hanging, [], [], 0)[0], "the others were still waiting"
        for sock in hanging:
            assert sock.recv(4096).startswith(b"HTTP/1.1 504 ")


def test_unanswered_names_do_not_delay_other_look_ups():
    call_in_namespace(__name__, ask_for_names_that_hang.__name__)


# --- the clock ----------------------------------------------------------------------------


@pytest.fixture
def offset(tmp_path: Path) -> Path:
    """How wrong the clock is, for programs with `wrong_clock` in their environment."""
    path = tmp_path / "offset"
    path.write_text("+0")
    return path


@pytest.fixture
def wrong_clock(offset: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def seconds_kept(address: str) -> float:
    """Return how many seconds a silent connection is kept."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as sock:
        began = time.monotonic()
        while sock.recv(4096):
            pass
        return time.monotonic() - began


def time_of(line: str) -> datetime:
    return datetime.fromisoformat(line.split(maxsplit=1)[0])


@pytest.mark.needs("faketime")
@pytest.mark.parametrize("set_by", [timedelta(hours=1), timedelta(hours=-1)])
def test_set_clock_ends_no_tunnel_and_moves_no_deadline(set_by, offset, wrong_clock):
    env = {
        **wrong_clock,
        "NETJUMPER_HANDSHAKE_TIMEOUT": "0.5",
        "NETJUMPER_IDLE_TIMEOUT": "60",
    }
    with target() as listener, chain_running(env, env) as chain:
        with tunnelled(chain, listener.getsockname()[1]) as program:
            serving, _ = listener.accept()
            with serving:
                began = time_of(chain.server.lines[0])
                offset.write_text(f"{set_by.total_seconds():+.0f}")
                for listener_port in (chain.jump, chain.socks, chain.http):
                    assert 0.4 < seconds_kept(listener_port) < TIMEOUT_S / 2
                serving.sendall(b"still there")
                assert program.recv(100) == b"still there"
        ended = chain.server.wait_for(r".*, (\S+) s, reset")[0]
        assert abs(time_of(ended[0]) - began - set_by) < timedelta(minutes=5)
        assert float(ended[1]) < TIMEOUT_S
