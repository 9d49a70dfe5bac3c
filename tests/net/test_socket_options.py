"""The options of sockets: set where they are said to be, and what the kernel makes of them."""

import asyncio
import errno
import socket
import sys

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.listen_address import ListenAddress
from netjumper.errors import NetworkUnreachable
from netjumper.net import socket_options as module
from netjumper.net.dialer import Dialer
from netjumper.net.listening_sockets import listen_on
from netjumper.net.socket_options import IPPROTO_MPTCP, SocketOptions
from tests.support.namespaces import run_in_namespace
from tests.support.peers import (
    eventually,
    keepalive,
    listening,
    no_descriptor_leaks,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux' options")

TCP = socket.IPPROTO_TCP
TCP_RTO_MIN_US = 45


def name_of(sock):
    return sock.getsockopt(TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def user_timeout(sock):
    return sock.getsockopt(TCP, socket.TCP_USER_TIMEOUT)


def other_than_the_default():
    """Return a congestion control that is not what sockets have by themselves."""
    with socket.socket() as sock:
        default = name_of(sock)
    return "cubic" if default == "reno" else "reno"


def joined(dialling=None, accepting=None, address="127.0.0.1:0"):
    """Return both ends of a connection that was made with these options."""
    (listener,) = listen_on(ListenAddress.parse(address), options=accepting or SocketOptions())
    with listener:
        listener.setblocking(True)
        host, port = listener.getsockname()[:2]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        client = (dialling or SocketOptions()).dial(family, (host, port))
        accepted, _ = listener.accept()
        client.settimeout(10.0)
        return client, accepted


# What is set.


def test_both_ends_send_without_delay_and_notice_a_peer_that_vanished_within_thirty_seconds():
    for sock in joined():
        with sock:
            assert sock.getsockopt(TCP, socket.TCP_NODELAY)
            assert keepalive(sock) == (1, 15, 2)
            assert user_timeout(sock) == 26_000


@pytest.mark.parametrize(("seconds", "message"), [(3.0, (1, 1, 1)), (300.0, (1, 150, 20))])
def test_the_time_until_a_vanished_peer_is_noticed_is_a_choice(seconds, message):
    options = SocketOptions(peer_timeout=seconds)
    for sock in joined(options, options):
        with sock:
            assert keepalive(sock) == message
            assert user_timeout(sock) == (seconds - 2 * message[2]) * 1000


def test_zero_peer_timeout_is_left_to_the_system():
    options = SocketOptions(peer_timeout=0)
    for sock in joined(options, options):
        with sock:
            assert keepalive(sock)[0] == 0
            assert user_timeout(sock) == 0


def test_unanswered_probes_end_a_connection_without_the_user_timeout():
    options = SocketOptions(user_timeout=False)
    for sock in joined(options, options):
        with sock:
            assert user_timeout(sock) == 0
            assert keepalive(sock) == (1, 15, 2)
            assert sock.getsockopt(TCP, socket.TCP_KEEPCNT) == 7


def test_lost_last_packet_is_sent_again_soon_if_the_kernel_has_the_option():
    with socket.socket() as sock:
        try:
            default = sock.getsockopt(TCP, TCP_RTO_MIN_US)
        except OSError:
            pytest.skip("Linux has it from 6.15 on")
    for options, message in ((SocketOptions(loss_probe=0.05), 50_000), (SocketOptions(), default)):
        for sock in joined(options, options):
            with sock:  # the kernel counts in jiffies, of 10 ms at most
                assert message <= sock.getsockopt(TCP, TCP_RTO_MIN_US) < message + 10_000


def test_loss_probe_is_left_to_a_system_without_the_option(monkeypatch):
    monkeypatch.setattr(module, "_TCP_RTO_MIN_US", 9999)
    monkeypatch.setattr(module, "_has_loss_probe", module._has_loss_probe.__wrapped__)
    assert not module._has_loss_probe()
    for sock in joined(SocketOptions(loss_probe=0.05), SocketOptions(loss_probe=0.05)):
        sock.close()


def test_no_other_systems_option_of_that_number_is_set(monkeypatch):
    monkeypatch.setattr(module, "_TCP_RTO_MIN_US", socket.TCP_NODELAY)  # there is one
    monkeypatch.setattr(module, "_LINUX", False)
    assert not module._has_loss_probe.__wrapped__()


def test_the_congestion_control_is_that_of_dialled_and_of_accepted_connections():
    options = SocketOptions(congestion_control=other_than_the_default())
    for sock in joined(options, options):
        with sock:
            assert name_of(sock) == options.congestion_control


def test_options_of_one_end_are_not_the_others():
    client, accepted = joined(SocketOptions(congestion_control=other_than_the_default()))
    with client, accepted:
        assert name_of(client) != name_of(accepted)


def test_a_connection_comes_from_the_source_address_of_its_family():
    options = SocketOptions(source=("127.0.0.9", "::1"))
    client, accepted = joined(options)
    with client, accepted:
        assert accepted.getpeername()[0] == "127.0.0.9"
    client, accepted = joined(options, address="[::1]:0")
    with client, accepted:
        assert accepted.getpeername()[0] == "::1"


def test_a_family_without_a_source_address_is_not_dialled():
    with pytest.raises(OSError, match="unreachable") as caught:
        joined(SocketOptions(source=("127.0.0.9",)), address="[::1]:0")
    assert caught.value.errno == errno.ENETUNREACH


def test_a_dial_leaves_by_the_interface():
    client, accepted = joined(SocketOptions(interface="lo"))
    with client, accepted:
        bound = client.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert bound.rstrip(b"\0") == b"lo"


def test_a_dial_has_the_firewall_mark():
    code = """
client, accepted = pair(SocketOptions(mark=77), SocketOptions())
print(client.getsockopt(socket.SOL_SOCKET, socket.SO_MARK))
"""
    assert run_in_namespace(code) == "77"


def test_with_defer_accept_a_connection_comes_with_its_first_bytes():
    (listener,) = listen_on(
        ListenAddress.parse("127.0.0.1:0"), options=SocketOptions(defer_accept=True)
    )
    with listener, socket.create_connection(listener.getsockname()) as client:
        with pytest.raises(BlockingIOError):
            listener.accept()
        client.sendall(b"x")
        listener.settimeout(10.0)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b"x"


def test_a_unix_socket_has_none_of_them(tmp_path):
    options = SocketOptions(mptcp=True, fast_open=True, defer_accept=True)
    (listener,) = listen_on(ListenAddress("", 0, str(tmp_path / "socket")), options=options)
    listener.close()


async def test_a_dialers_connections_have_its_options():
    opened, failed = [], []
    options = SocketOptions(source=("127.0.0.9",))
    async with no_descriptor_leaks():
        dialer = Dialer(asyncio.get_running_loop(), timeout=10.0, options=options)
        with listening() as four, listening("::1") as six:
            for listener in (four, six):
                host, port = listener.getsockname()[:2]
                dialer.connect(Address(host, port), opened.append, failed.append)
            await eventually(lambda: bool(opened and failed))
            accepted, peer = four.accept()
            accepted.close()
            opened[0].close()
    assert peer[0] == "127.0.0.9"
    assert isinstance(failed[0], NetworkUnreachable)


# Several paths for a connection.


@pytest.fixture
def mptcp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        pytest.skip("this kernel has no MPTCP")
    return SocketOptions(mptcp=True, congestion_control=other_than_the_default())


def test_both_ends_speak_mptcp(mptcp):
    for sock in joined(mptcp, mptcp):
        with sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == IPPROTO_MPTCP
            assert keepalive(sock) == (1, 15, 2)
            assert name_of(sock) == mptcp.congestion_control


def test_mptcp_falls_back_to_tcp(mptcp):
    for ends in (joined(mptcp), joined(None, mptcp)):
        for sock, other in (ends, ends[::-1]):
            sock.sendall(b"x")
            assert other.recv(1) == b"x"
        for sock in ends:
            sock.close()


# Fast Open.

SPEAKS_FIRST = """
def greeted():
    with SocketOptions(fast_open=True).listening_socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = SocketOptions(fast_open=True).dial(socket.AF_INET, listener.getsockname())
        with client, listener.accept()[0] as accepted:
            accepted.sendall(b"first")
            client.settimeout(10.0)
            assert client.recv(5) == b"first"

def accepted_early():
    names, values = (line.split() for line in
        Path("/proc/net/netstat").read_text().splitlines() if line.startswith("TcpExt:"))
    return int(dict(zip(names, values))["TCPFastOpenPassive"])
"""


def test_with_fast_open_a_connection_is_accepted_with_its_first_packet():
    code = "fast_open(3)\ngreeted(); greeted(); print(accepted_early())"
    assert run_in_namespace(SPEAKS_FIRST + code) == "1"  # the first one asked for the cookie


def test_listener_without_fast_open_still_speaks_first():
    code = "fast_open(1)\ngreeted(); greeted(); print(accepted_early())"
    assert run_in_namespace(SPEAKS_FIRST + code) == "0"


# Who vanished, and who does not read.

NOTICED = """
def noticed(first):
    options = SocketOptions(peer_timeout=3.0)
    client, accepted = pair(options, options)
    loopback(False)
    began = time.monotonic()
    client.sendall(first)
    poll = select.poll()
    poll.register(client, select.POLLIN)
    poll.poll(20_000)
    try:
        client.recv(1)
    except TimeoutError:
        print("noticed" if time.monotonic() - began < 4.0 else "late")
"""


@pytest.mark.parametrize("first", [b"", b"on its way"])
def test_a_peer_that_vanished_is_noticed_in_time(first):
    assert run_in_namespace(f"{NOTICED}noticed({first!r})") == "noticed"
