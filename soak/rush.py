"""Request many tunnels at the same time."""

import asyncio
import hashlib
import socket
from contextlib import ExitStack

TOO_MANY = b"too many tunnels"


async def rush(port: int, secret: bytes, count: int) -> tuple[int, int]:
    """Request `count` tunnels of a jump server, and keep them until all are answered.

    Args:
        port: of the jump server, on 127.0.0.1.
        secret: shared with it.
        count: number of tunnels.

    Returns:
        How many were established, and how many were refused with the reason `TOO_MANY`.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        target = b"127.0.0.1:%d" % listener.getsockname()[1]
        answers = await asyncio.gather(
            *(_ask(stack, port, secret, target) for _ in range(count)), return_exceptions=True
        )
    served = answers.count(b"\0\0")
    return served, sum(isinstance(it, bytes) and it.endswith(TOO_MANY) for it in answers)


async def _ask(stack: ExitStack, port: int, secret: bytes, target: bytes) -> bytes:
    """Return everything that the jump server sends after its challenge."""
    loop = asyncio.get_running_loop()
    sock = stack.enter_context(socket.socket())
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    challenge = await loop.sock_recv(sock, 33)
    digest = hashlib.sha1(challenge[1:] + secret).digest()  # noqa: S324 - the wire's
    await loop.sock_sendall(sock, b"\x14" + digest + bytes((len(target),)) + target)
    answer = b""
    while answer != b"\0\0" and (data := await loop.sock_recv(sock, 512)):
        answer += data
    return answer
