"""Listening sockets: addresses, names, unix sockets and their files, and errors."""

import asyncio
import errno
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.errors import AddressError
from netjumper.net.listening_sockets import ListenError, listen_on
from tests.support.accepting import AcceptingListener, accepting_at
from tests.support.namespaces import call_in_namespace
from tests.support.peers import connected, eventually, keepalive, listening

pytestmark = pytest.mark.usefixtures("nothing_is_left")


async def unix_connection(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, str(path))
    return sock


# --- where to listen ----------------------------------------------------------------------


def refusal(text: str) -> str:
    with pytest.raises(ListenError) as caught:
        listen_on(ListenAddress.parse(text))
    assert isinstance(caught.value, OSError)
    message = str(caught.value)
    assert "\n" not in message
    return message


def finding(*hosts: str) -> Any:
    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in hosts]

    return getaddrinfo


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0"])
async def test_listener_reports_the_port_that_the_system_chose(text):
    with accepting_at(text) as it:
        assert it.listener.address.startswith(text.removesuffix("0"))
        with await connected(it.listener.address) as sock:
            await eventually(lambda: len(it.endpoints) == 1)
            host, port = sock.getsockname()[:2]
            assert it.peers == [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


async def test_an_accepted_connection_sends_without_delay_and_never_blocks():
    with accepting_at("127.0.0.1:0") as it, await connected(it.listener.address):
        await eventually(lambda: len(it.endpoints) == 1)
        with it.endpoints[0].detach() as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()


async def test_kernel_probes_the_peer_of_an_accepted_connection():
    with accepting_at("127.0.0.1:0") as it, await connected(it.listener.address):
        await eventually(lambda: len(it.endpoints) == 1)
        with it.endpoints[0].detach() as sock:
            assert keepalive(sock) == (1, 15, 2)


async def test_all_of_ipv6_can_be_listened_on_beside_all_of_ipv4():
    with accepting_at("0.0.0.0:0") as four:
        port = int(four.listener.address.rpartition(":")[2])
        (sock,) = listen_on(ListenAddress("::", port), dual_stack=False)
        with AcceptingListener(sock) as six, await connected(f"[::1]:{port}"):
            await eventually(lambda: len(six.endpoints) == 1)


async def test_a_bare_port_is_both_families():
    with accepting_at("0") as it:
        port = it.listener.address.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            (await connected(f"{host}:{port}")).close()
        await eventually(lambda: len(it.endpoints) == 2)
        assert it.peers[0].startswith("127.0.0.1:")
        assert it.peers[1].startswith("[::1]:")


async def test_bare_port_is_ipv4_without_ipv6(monkeypatch):
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with accepting_at("0") as it:
        assert it.listener.address.startswith("0.0.0.0:")


async def test_an_ipv6_address_that_was_named_is_ipv6_only():
    with socket.socket() as reserved:  # nobody else listens there meanwhile
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with accepting_at(f"[::1]:{port}"), pytest.raises(ConnectionRefusedError):
            (await connected(f"127.0.0.1:{port}")).close()


async def test_a_name_is_listened_on_at_each_of_its_addresses(monkeypatch):
    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    socks = listen_on(ListenAddress.parse("two.example:0"))
    assert [sock.getsockname()[0] for sock in socks] == ["::1", "127.0.0.1"]
    for sock in socks:
        sock.close()


async def test_a_name_is_listened_on_at_all_of_its_addresses_or_at_none(monkeypatch):
    with listening() as taken:

        def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", taken.getsockname()),
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(ListenError):
            listen_on(ListenAddress.parse("two.example:80"))


# --- what cannot be listened on -----------------------------------------------------------


async def test_a_port_in_use_is_one_readable_line():
    with accepting_at("127.0.0.1:0") as it:
        address = it.listener.address
        assert refusal(address) == (
            f"cannot listen on {address}: another program listens there; "
            "stop it or choose another port"
        )


async def test_an_address_of_another_machine_is_one_readable_line():
    assert refusal("198.51.100.1:80") == (
        "cannot listen on 198.51.100.1:80: this machine does not have that address"
    )


async def test_one_of_a_names_addresses_will_do(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", finding("198.51.100.1", "127.0.0.1"))
    (sock,) = listen_on(ListenAddress("name.example", 0))
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"


async def test_none_of_a_names_addresses_being_ours_is_one_readable_line(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", finding("198.51.100.1", "198.51.100.2"))
    assert refusal("name.example:80") == (
        "cannot listen on name.example:80: this machine does not have that address"
    )


async def test_a_name_without_an_address_is_one_readable_line(monkeypatch):
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert refusal("none.example:80") == (
        "cannot listen on none.example:80: Name or service not known"
    )


@pytest.mark.parametrize("text", ["127.0.0.1:0", "unix:/tmp/netjumper-never-made"])
async def test_no_free_descriptor_is_one_readable_line(monkeypatch, text):
    def no_socket(*_: Any, **__: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:  # over before the loop is closed, which takes a socket
        patch.setattr(socket, "socket", no_socket)
        assert refusal(text) == f"cannot listen on {text}: Too many open files"


async def test_a_port_that_needs_privileges_is_one_readable_line(monkeypatch, tmp_path):
    def bind(sock: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    assert refusal("127.0.0.1:80") == (
        "cannot listen on 127.0.0.1:80: permission denied; ports below 1024 need privileges"
    )
    assert refusal(f"unix:{tmp_path}/socket").endswith("/socket: Permission denied")


async def test_a_unix_path_without_its_folder_is_one_readable_line(tmp_path):
    path = tmp_path / "missing" / "socket"
    assert refusal(f"unix:{path}") == f"cannot listen on unix:{path}: No such file or directory"


async def test_a_unix_path_that_is_too_long_is_one_readable_line(tmp_path):
    path = tmp_path / ("x" * 120)
    assert refusal(f"unix:{path}") == f"cannot listen on unix:{path}: AF_UNIX path too long"


def test_a_unix_path_with_a_nul_is_one_line_that_is_not_too_long():
    with pytest.raises(AddressError) as caught:
        ListenAddress.parse("unix:" + "\0" * 1000)
    assert str(caught.value).endswith("\\x00...': write unix:/path/of/the/socket")
    assert len(str(caught.value)) < 400


# --- unix sockets -------------------------------------------------------------------------


async def test_a_unix_socket_is_listened_on_and_its_file_removed_at_the_end(tmp_path):
    path = tmp_path / "socket"
    with accepting_at(f"unix:{path}") as it:
        assert it.listener.address == f"unix:{path}"
        with await unix_connection(path):
            await eventually(lambda: it.peers == ["unix"])
    assert not path.exists()


async def test_socket_file_without_a_listener_is_replaced(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert stat.S_ISSOCK(path.stat().st_mode)
    with accepting_at(f"unix:{path}") as it, await unix_connection(path):
        await eventually(lambda: len(it.endpoints) == 1)


async def test_socket_file_with_a_listener_is_kept(tmp_path):
    path = tmp_path / "socket"
    with accepting_at(f"unix:{path}") as it:
        assert "another program listens there" in refusal(f"unix:{path}")
        with await unix_connection(path):
            await eventually(lambda: len(it.endpoints) == 2)  # the look at it was the first


async def test_a_socket_file_that_another_program_has_put_there_is_left_to_it(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other:
        with accepting_at(f"unix:{path}"):
            path.unlink()
            other.bind(str(path))
        assert path.exists()


async def test_a_socket_file_whose_owner_accepts_nothing_is_left_alone(tmp_path):
    """Its queue is full, and a connect that waited for room would wait for ever."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as queued:
        busy.bind(str(path))
        busy.listen(0)
        queued.connect(str(path))
        assert "another program listens there" in refusal(f"unix:{path}")
    assert path.exists()


async def test_file_that_is_not_a_socket_is_kept(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    assert refusal(f"unix:{path}") == (
        f"cannot listen on unix:{path}: another program listens there, or the file is not a socket"
    )
    assert path.read_text() == "precious"


async def test_missing_socket_file_at_the_end_is_ignored(tmp_path):
    path = tmp_path / "socket"
    with accepting_at(f"unix:{path}"):
        path.unlink()


# --- accepting ----------------------------------------------------------------------------


@pytest.mark.needs("ip")
def test_ipv4_translated_peer_is_accepted() -> None:
    call_in_namespace(__name__, accept_ipv4_translated_peer.__name__)


def accept_ipv4_translated_peer() -> None:
    ip = "::ffff:0:192.0.2.1"
    subprocess.run(["ip", "address", "add", f"{ip}/128", "dev", "lo", "nodad"], check=True)

    async def accept() -> None:
        with accepting_at("[::1]:0") as listener, socket.socket(socket.AF_INET6) as client:
            client.bind((ip, 0))
            client.connect(listener.sock.getsockname())
            await eventually(lambda: listener.peers)
            assert listener.peers == [f"[::ffff:0:c000:201]:{client.getsockname()[1]}"]

    asyncio.run(accept())
