"""The system's resolver with name servers that do not answer, in a network of its own."""

import asyncio
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from netjumper.addressing.address import Address
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from tests.support.namespaces import call_in_namespace

pytestmark = pytest.mark.needs("mount")

DEAD, ALIVE = "127.0.0.2", "127.0.0.3"
A = 1


def name_server(ip: str, kinds: tuple[int, ...]) -> None:
    """Answer questions of these types with 127.0.0.1, and no others."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((ip, 53))

    def serve() -> None:
        while True:
            query, client = sock.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            (kind,) = struct.unpack("!H", query[end - 4 : end - 2])
            if kind not in kinds:
                continue
            head = query[:2] + b"\x81\x80" + struct.pack("!4H", 1, int(kind == A), 0, 0)
            record = b"\xc0\x0c" + struct.pack("!2HIH", A, 1, 60, 4) + b"\x7f\0\0\1"
            sock.sendto(head + query[12:end] + record * (kind == A), client)

    threading.Thread(target=serve, daemon=True).start()


def seconds_to_dial(name_servers: str) -> float:
    """Dial a name with a connect timeout shorter than the name server's delay."""
    with tempfile.NamedTemporaryFile("w") as own:
        own.write(name_servers)
        own.flush()
        subprocess.run(["mount", "--bind", own.name, "/etc/resolv.conf"], check=True)

    async def dial(port: int) -> float:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[Endpoint] = loop.create_future()
        began = time.monotonic()
        dialer = Dialer(loop, timeout=0.5)
        target = Address("site.example", port)
        dialer.connect(target, opened.set_result, opened.set_exception)
        (await opened).close()
        return time.monotonic() - began

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return asyncio.run(dial(listener.getsockname()[1]))


def dial_with_a_dead_name_server() -> None:
    name_server(ALIVE, (A, 28))
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((DEAD, 53))
    servers = f"nameserver {DEAD}\nnameserver {ALIVE}\noptions timeout:1\n"
    assert 0.9 < seconds_to_dial(servers) < 3
    silent.close()


def dial_without_an_answer_for_ipv6() -> None:
    name_server(ALIVE, (A,))
    assert seconds_to_dial(f"nameserver {ALIVE}\n") < 2


def test_dead_name_server_delays_a_dial_but_does_not_fail_it() -> None:
    call_in_namespace(__name__, dial_with_a_dead_name_server.__name__)


def test_name_server_without_an_answer_for_ipv6_delays_a_dial_little() -> None:
    call_in_namespace(__name__, dial_without_an_answer_for_ipv6.__name__)
