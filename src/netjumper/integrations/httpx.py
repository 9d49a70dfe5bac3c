"""httpx through a jump host: transports, and clients made of them in one line.

httpx takes a transport, and the connection pool below it (httpcore) takes a network backend,
which makes the connections. TLS, HTTP/2, pooling and certificate checks stay httpx's own.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict, Unpack

from netjumper.addressing.address import Address
from netjumper.errors import NetjumperError
from netjumper.integrations import missing, timed_out
from netjumper.integrations._jumper import OpensTunnels

try:
    import anyio
    import httpcore
    import httpx

    # The streams of httpcore's own backends, which take a socket that is already connected.
    from httpcore._backends.anyio import AnyIOStream
    from httpcore._backends.sync import SyncStream
except ModuleNotFoundError as error:
    raise missing("httpx", error) from error

__all__ = [
    "AsyncJumperBackend",
    "AsyncJumperTransport",
    "JumperBackend",
    "JumperTransport",
    "async_client",
    "client",
]

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
"""httpx's own default."""

_Options = Iterable[httpcore.SOCKET_OPTION] | None


class _TransportOptions(TypedDict, total=False):
    """The options of a transport, as those of `httpx.HTTPTransport`."""

    verify: ssl.SSLContext | str | bool
    cert: Any
    trust_env: bool
    http1: bool
    http2: bool
    limits: httpx.Limits
    retries: int
    socket_options: _Options


class JumperBackend(httpcore.NetworkBackend):
    """Opens the connections of httpcore's pools: tunnels to `host:port` as it was named.

    Args:
        jumper: the jump host.
    """

    def __init__(self, jumper: OpensTunnels) -> None:
        self._jumper = jumper

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.NetworkStream:
        """Return a stream to the target.

        Args:
            host: a name, resolved by the jump server, or an address.
            port: the target's.
            timeout: seconds until the tunnel must be established; None is the jumper's own limit.
            local_address: refused, because the jump server dials the target.
            socket_options: for the socket to the jump host.

        Raises:
            httpcore.ConnectTimeout, httpcore.ConnectError: `__cause__` is netjumper's error.
        """
        with _as_httpcore_says():
            _refuse(local_address)
            sock = self._jumper.connect(str(Address.checked(host, port)), timeout)
        return SyncStream(_with_options(sock, socket_options))


class AsyncJumperBackend(httpcore.AsyncNetworkBackend):
    """Opens connections as `JumperBackend` does, for asyncio.

    Args:
        jumper: the jump host.
    """

    def __init__(self, jumper: OpensTunnels) -> None:
        self._jumper = jumper

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a stream to the target; arguments and errors are those of `JumperBackend`.

        Raises:
            RuntimeError: the event loop is not asyncio's.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("netjumper's async clients run on asyncio only") from None
        with _as_httpcore_says():
            _refuse(local_address)
            target = str(Address.checked(host, port))
            sock = await self._jumper.open_socket(target, timeout=timeout)
        try:
            stream = await anyio.abc.SocketStream.from_socket(_with_options(sock, socket_options))
        except BaseException:
            sock.close()
            raise
        return AnyIOStream(stream)

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts, for httpcore."""
        await anyio.sleep(seconds)


class JumperTransport(httpx.HTTPTransport):
    """A transport for `httpx.Client` through a jump host.

    Args:
        jumper: the jump host.
        verify, cert, trust_env, http1, http2, limits, retries, socket_options: as for
            `httpx.HTTPTransport`. The environment is read for certificates only, not for proxies.

    Its requests raise `httpx.ConnectError` and `httpx.ConnectTimeout` with netjumper's error as
    `__cause__` if a tunnel cannot be opened.
    """

    def __init__(self, jumper: OpensTunnels, **options: Unpack[_TransportOptions]) -> None:
        self._pool = httpcore.ConnectionPool(
            network_backend=JumperBackend(jumper), **_pool_options(**options)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, for httpx."""
        with _with_our_cause():
            return super().handle_request(request)


class AsyncJumperTransport(httpx.AsyncHTTPTransport):
    """A transport for `httpx.AsyncClient` on asyncio; see `JumperTransport`."""

    def __init__(self, jumper: OpensTunnels, **options: Unpack[_TransportOptions]) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=AsyncJumperBackend(jumper), **_pool_options(**options)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, for httpx."""
        with _with_our_cause():
            return await super().handle_async_request(request)


def client(jumper: OpensTunnels, **kwargs: Any) -> httpx.Client:
    """Return an `httpx.Client` that sends all requests through the jump host.

    Args:
        jumper: the jump host.
        **kwargs: as for `httpx.Client`. Certificates are checked unless `verify` says otherwise.

    Raises:
        TypeError: `proxy`, `mounts` or `transport` is given, which would bypass the jump host.
    """
    transport = JumperTransport(jumper, **_transport_options(kwargs))
    return httpx.Client(transport=transport, **kwargs)


def async_client(jumper: OpensTunnels, **kwargs: Any) -> httpx.AsyncClient:
    """Return an `httpx.AsyncClient`; arguments and errors are those of `client`."""
    transport = AsyncJumperTransport(jumper, **_transport_options(kwargs))
    return httpx.AsyncClient(transport=transport, **kwargs)


def _transport_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Remove and return the transport's arguments from those of a client."""
    for name in ("proxy", "mounts", "transport"):
        if kwargs.pop(name, None) is not None:
            raise TypeError(f"{name}: a client through a jump host goes no other way")
    ours = {"verify", "cert", "http1", "http2", "limits"} & kwargs.keys()
    options = {name: kwargs.pop(name) for name in ours}
    if "trust_env" in kwargs:  # the client reads it as well, for netrc files
        options["trust_env"] = kwargs["trust_env"]
    return options


def _pool_options(
    *,
    verify: ssl.SSLContext | str | bool = True,
    cert: Any = None,
    trust_env: bool = True,
    limits: httpx.Limits = LIMITS,
    http1: bool = True,
    http2: bool = False,
    retries: int = 0,
    socket_options: _Options = None,
) -> dict[str, Any]:
    return {
        "ssl_context": httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env),
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
        "http1": http1,
        "http2": http2,
        "retries": retries,
        "socket_options": socket_options,
    }


def _refuse(local_address: str | None) -> None:
    if local_address is not None:
        raise httpcore.UnsupportedProtocol("a tunnel cannot be bound to a local address")


def _with_options(sock: socket.socket, options: _Options) -> socket.socket:
    try:
        for option in options or ():
            sock.setsockopt(*option)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _as_httpcore_says() -> Iterator[None]:
    try:
        yield
    except NetjumperError as error:
        kind = httpcore.ConnectTimeout if timed_out(error) else httpcore.ConnectError
        raise kind(error) from error


@contextlib.contextmanager
def _with_our_cause() -> Iterator[None]:
    """Make the netjumper error the direct cause of httpx's, without httpcore's in between."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        # httpcore's pool drops the cause; the original error is an argument of its errors.
        for origin in getattr(error.__cause__, "args", ()):
            if isinstance(origin, NetjumperError):
                raise error from origin
        raise
