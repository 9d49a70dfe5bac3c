"""The processes of the soak that are not netjumper's: `python -m soak.part target|client ...`."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Coroutine

from soak.client import Client, Ways
from soak.reporting import Telling
from soak.target import serve

Part = Callable[..., Coroutine[None, None, None]]


async def _target(tunnels: int, web: int) -> None:
    telling = Telling()
    with _listening(tunnels) as one, _listening(web) as other:
        await asyncio.gather(serve(one, other, telling), telling.for_ever())


async def _client(at_once: int, largest: int, *ports: int) -> None:
    telling = Telling()
    names = ("socks", "http", "target", "web", "closed")
    client = Client(Ways(**dict(zip(names, ports, strict=True))), largest, telling)
    works = [asyncio.ensure_future(client.go_on()) for _ in range(at_once)]
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: [work.cancel() for work in works]
    )
    told = asyncio.ensure_future(telling.for_ever())
    await asyncio.wait(works)
    told.cancel()
    telling.flush()


def _listening(port: int) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", port), backlog=1024)
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    part, *numbers = sys.argv[1:]
    parts: dict[str, Part] = {"target": _target, "client": _client}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(parts[part](*map(int, numbers)))
