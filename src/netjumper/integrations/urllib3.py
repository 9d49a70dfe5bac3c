"""urllib3 through a jump host: a pool manager whose connections are tunnels.

urllib3's connection classes make their socket in `_new_conn`, and a pool manager has the classes
of its pools as an attribute; its SOCKS support is built on the same two hooks.
"""

import socket
import sys
from typing import Any

from netjumper.addressing.address import Address
from netjumper.errors import AddressError, NetjumperError
from netjumper.integrations import missing, timed_out
from netjumper.integrations._jumper import OpensTunnels

try:
    import urllib3
    from urllib3.connection import HTTPConnection
    from urllib3.exceptions import (
        ConnectTimeoutError,
        LocationParseError,
        NameResolutionError,
        NewConnectionError,
    )
except ModuleNotFoundError as error:
    raise missing("urllib3", error) from error

__all__ = ["JumperPoolManager"]


class JumperPoolManager(urllib3.PoolManager):
    """A pool manager that opens all connections through a jump host.

    Args:
        jumper: the jump host.
        num_pools, headers, **options: as for `urllib3.PoolManager`. The connect timeout is
            for the whole tunnel; without one, the jumper's own limit applies.

    If a tunnel cannot be opened, requests raise what urllib3 raises for a failed connection:
    `MaxRetryError`, whose `reason` is a `NewConnectionError` or a `ConnectTimeoutError` (these
    themselves with `retries=False`), and its `__cause__` is netjumper's error. An invalid
    host is a `LocationParseError`.
    """

    def __init__(self, jumper: OpensTunnels, num_pools: int = 10, **options: Any) -> None:
        if options.get("source_address") is not None:
            raise TypeError("source_address: a tunnel cannot be bound to a local address")
        super().__init__(num_pools, **options)
        self.pool_classes_by_scheme = {
            scheme: _through(jumper, pool)
            for scheme, pool in {
                "http": urllib3.HTTPConnectionPool,
                "https": urllib3.HTTPSConnectionPool,
            }.items()
        }


def _through(
    jumper: OpensTunnels, pool: type[urllib3.HTTPConnectionPool]
) -> type[urllib3.HTTPConnectionPool]:
    """Return the pool's class with connections through the jump host."""
    # The pool's connection class as it is now: urllib3 replaces it for HTTP/2, for example.
    base: Any = pool.ConnectionCls

    class JumperConnection(base):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            sock = _tunnel(jumper, self)
            sys.audit("http.client.connect", self, self.host, self.port)
            return sock

    return type(pool.__name__, (pool,), {"ConnectionCls": JumperConnection})


def _tunnel(jumper: OpensTunnels, connection: HTTPConnection) -> socket.socket:
    """Connect as `urllib3.util.connection.create_connection` does, through the jump host."""
    try:
        # With its final dot, if it has one: `host` is without it.
        target = Address.checked(connection._dns_host.strip("[]"), connection.port)
        sock = jumper.connect(str(target), connection.timeout)
    except AddressError as error:
        raise LocationParseError(str(error)) from error
    except NetjumperError as error:
        raise _as_urllib3_says(error, connection) from error
    try:
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
    except BaseException:
        sock.close()
        raise
    return sock


def _as_urllib3_says(error: NetjumperError, connection: HTTPConnection) -> ConnectTimeoutError:
    if isinstance(error, socket.gaierror):
        return NameResolutionError(connection.host, connection, error)
    if timed_out(error):
        return ConnectTimeoutError(
            connection, f"Connection to {connection.host} timed out: {error}"
        )
    return NewConnectionError(connection, f"Failed to establish a new connection: {error}")
