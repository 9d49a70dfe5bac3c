"""The processes of the soak that are not netjumper's: `python -m soak.part target|client ...`."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Coroutine

from soak.client import Client, Ports
from soak.reporting import Reporter
from soak.target import serve

Part = Callable[..., Coroutine[None, None, None]]


async def _target(tunnels: int, web: int) -> None:
    reporter = Reporter()
    with _listening(tunnels) as one, _listening(web) as other:
        await asyncio.gather(serve(one, other, reporter), reporter.for_ever())


async def _client(concurrency: int, max_bytes: int, *ports: int) -> None:
    reporter = Reporter()
    names = ("socks", "http", "target", "web", "closed")
    client = Client(Ports(**dict(zip(names, ports, strict=True))), max_bytes, reporter)
    works = [asyncio.ensure_future(client.go_on()) for _ in range(concurrency)]
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: [work.cancel() for work in works]
    )
    message = asyncio.ensure_future(reporter.for_ever())
    await asyncio.wait(works)
    message.cancel()
    reporter.flush()


def _listening(port: int) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", port), backlog=1024)
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    child, *numbers = sys.argv[1:]
    children: dict[str, Part] = {"target": _target, "client": _client}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(children[child](*map(int, numbers)))
