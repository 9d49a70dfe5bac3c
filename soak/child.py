"""A child process of the soak test: `python -m soak.child target|client NUMBER...`."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Coroutine

from soak.client import Client, Ports
from soak.reporting import Reporter
from soak.target import serve

Child = Callable[..., Coroutine[None, None, None]]
"""The main function of a child; takes the numbers of its command line."""


async def _target(tunnel_port: int, web_port: int) -> None:
    reporter = Reporter()
    with _listener(tunnel_port) as tunnels, _listener(web_port) as web:
        await asyncio.gather(serve(tunnels, web, reporter), reporter.run())


async def _client(concurrency: int, max_bytes: int, *ports: int) -> None:
    reporter = Reporter()
    names = ("socks", "http", "target", "web", "closed")
    client = Client(Ports(**dict(zip(names, ports, strict=True))), max_bytes, reporter)
    tasks = [asyncio.ensure_future(client.run()) for _ in range(concurrency)]
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: [task.cancel() for task in tasks]
    )
    reports = asyncio.ensure_future(reporter.run())
    await asyncio.wait(tasks)
    reports.cancel()
    reporter.flush()


def _listener(port: int) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", port), backlog=1024)
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    role, *numbers = sys.argv[1:]
    children: dict[str, Child] = {"target": _target, "client": _client}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(children[role](*map(int, numbers)))
