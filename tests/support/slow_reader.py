"""A connection whose peer does not read, and how the kernel treats it."""

import select
import socket

from tests.support.peers import eventually, tcp_pair


def stalled_pair(user_timeout: int) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; the first has unsent data, as the second does not read.

    Args:
        user_timeout: of the first, in milliseconds.
    """
    one, other = tcp_pair()
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout)
    one.send(bytes(1_000_000))
    return one, other


async def kernel_aborts_connection_of_slow_reader(user_timeout: int) -> None:
    """Wait until the kernel aborts a connection whose peer does not read.

    Args:
        user_timeout: of the connection, in milliseconds.
    """
    sock, peer = stalled_pair(user_timeout)
    poll = select.poll()
    poll.register(sock, select.POLLERR)
    with sock, peer:
        await eventually(lambda: bool(poll.poll(0)))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
