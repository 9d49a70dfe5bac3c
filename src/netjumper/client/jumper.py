"""The client library: sockets and streams to targets through a jump host.

Nothing here connects to a target directly: if the jump host cannot be reached, that is an error.
"""

import asyncio
import codecs
import socket
import ssl as ssl_module
import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.addressing.jump_url import JumpUrl
from netjumper.client.background_loop import in_background
from netjumper.client.blocking import BlockingConnection
from netjumper.client.challenges import ChallengeHistory
from netjumper.client.encryption import client_for
from netjumper.client.jump_host import JumpHost
from netjumper.client.plain_socket import plain_socket
from netjumper.errors import (
    NetjumperError,
)
from netjumper.fileio import is_foreign, is_shared, read_file, without_newline
from netjumper.net.congestion_control import AUTO, chosen
from netjumper.net.dialer import Dialer
from netjumper.net.endpoint import Endpoint
from netjumper.net.socket_options import LONG_PATH_LOSS_PROBE_S, SocketOptions
from netjumper.tls.context import Encryption

if TYPE_CHECKING:
    import httpx

Target = str | tuple[str, int] | Address
"""`HOST:PORT`, or both as the sockets of the standard library take them; an IPv6 address in the
text is in brackets."""
ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)

CONNECT_TIMEOUT_S = 15.0
_OPTIONS = SocketOptions(
    user_timeout=False,
    loss_probe=LONG_PATH_LOSS_PROBE_S,
    congestion_control=chosen(AUTO),
)
"""Without TCP_USER_TIMEOUT: nothing suspends it for a peer that does not read."""


class Jumper:
    """A jump host and the secret shared with it.

    Args:
        jump_host: the jump server, `host:port` or `netjumper+tls://...`
            (`netjumper.addressing.jump_url`).
        secret: shared with it; None uses `secret_file`, or the one in `jump_host`.
        connect_timeout: seconds that opening a tunnel can take, from the dial to the outcome,
            unless a call has a timeout of its own.
        encryption: the TLS to use; None follows `jump_host`.
        secret_file: the path of a file with the secret, which only its owner can read; the newline
            at its end does not count.

    Raises:
        AddressError: `jump_host` is not a jump host.
        EncryptionError: the TLS that `jump_host` requires is not possible.
        OSError: `secret_file` cannot be read.
        TypeError: `jump_host` is not a text.
        ValueError: there is no secret, it is empty, both are given, or others can read
            `secret_file`.
    """

    def __init__(
        self,
        jump_host: str,
        secret: str | bytes | None = None,
        *,
        connect_timeout: float = CONNECT_TIMEOUT_S,
        encryption: Encryption | None = None,
        secret_file: str | PathLike[str] | None = None,
    ) -> None:
        if not isinstance(jump_host, str):
            raise TypeError(f"jump_host: expected a text, not {type(jump_host).__name__}")
        url = JumpUrl.parse(jump_host)
        self.address = url.address
        self._secret = _secret_of(url, secret, secret_file)
        self._encryption = encryption or client_for(url, self._secret)
        self.connect_timeout = connect_timeout
        self._challenges = ChallengeHistory(url.address)

    def __repr__(self) -> str:
        return f"<Jumper {self.address}>"

    def connect(self, target: Target, timeout: float | None = None) -> socket.socket:
        """Return a blocking socket that is connected to `target`, as `socket.create_connection`
        does.

        Args:
            target: `host:port` or `(host, port)`; a name is resolved by the jump server.
            timeout: seconds until the tunnel must be established, and then the socket's own
                timeout. None is `connect_timeout` for the tunnel, and the default timeout of new
                sockets for the socket.

        Raises:
            AddressError: `target` has no valid host or port.
            JumpHostError: the jump host cannot be reached, or rejects the secret.
            TargetError: the jump server could not reach the target.
        """
        address = _address_of(target)
        limit = self.connect_timeout if timeout is None else timeout
        if self._encryption is not None:
            sock = in_background(self.open_socket(target, timeout=limit))
            sock.settimeout(socket.getdefaulttimeout() if timeout is None else timeout)
            return sock
        deadline = time.monotonic() + limit
        connection = BlockingConnection(self.address, self._secret, _OPTIONS, self._challenges)
        connection.handshake.request(address)
        try:
            connection.resolve(deadline)
            connection.dial(deadline)
            connection.advance(lambda handshake: handshake.result, deadline)
            sock = connection.connected_socket(deadline)
            sock.settimeout(socket.getdefaulttimeout() if timeout is None else timeout)
        except BaseException:
            connection.close()
            raise
        return sock

    async def open_socket(self, target: Target, *, timeout: float | None = None) -> socket.socket:
        """Return a connected non-blocking socket, for APIs that take one (`sock=`, `loop.sock_*`).

        Args:
            target: `host:port` or `(host, port)`; a name is resolved by the jump server.
            timeout: seconds until the tunnel must be established; None is `connect_timeout`.

        Raises:
            AddressError, JumpHostError, TargetError: as `connect`.
        """
        address = _address_of(target)
        loop = asyncio.get_running_loop()
        limit = self.connect_timeout if timeout is None else timeout
        opened: asyncio.Future[Endpoint] = loop.create_future()
        made = Endpoint if self._encryption is None else self._encryption.endpoint
        dialer = Dialer(loop, timeout=limit, options=_OPTIONS, endpoint=made)
        host = JumpHost(loop, self.address, self._secret, dialer, limit, self._challenges)
        connection = host.connect(address, *_settling(opened))
        timer = loop.call_later(limit, connection.expire)
        try:
            endpoint = await opened
        except asyncio.CancelledError:
            if opened.done() and not opened.cancelled() and opened.exception() is None:
                opened.result().close()
            raise
        finally:
            timer.cancel()
            connection.cancel()
        try:
            return plain_socket(loop, endpoint)
        except OSError as error:
            raise dial_errors.from_oserror(error, str(address)) from error

    async def open_connection(
        self,
        target: Target,
        *,
        timeout: float | None = None,
        ssl: ssl_module.SSLContext | bool | None = None,
        server_hostname: str | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return asyncio's streams to `target`.

        Args:
            target: `host:port` or `(host, port)`; a name is resolved by the jump server.
            timeout: seconds until the tunnel must be established; None is `connect_timeout`.
            ssl: speak TLS with the target, as in `asyncio.open_connection`.
            server_hostname: the name its certificate must have; None is the target's.
            **kwargs: as for `asyncio.open_connection`, `limit` for example.

        Raises:
            AddressError, JumpHostError, TargetError: as `connect`.
            ssl.SSLError: TLS with the target failed.
        """
        sock = await self.open_socket(target, timeout=timeout)
        name = server_hostname or _name_to_check(target, ssl)
        try:
            return await asyncio.open_connection(sock=sock, ssl=ssl, server_hostname=name, **kwargs)
        except BaseException:
            sock.close()
            raise

    async def create_connection(
        self,
        protocol_factory: Callable[[], ProtocolT],
        target: Target,
        *,
        timeout: float | None = None,
        ssl: ssl_module.SSLContext | bool | None = None,
        server_hostname: str | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Return asyncio's transport and protocol, connected to `target`.

        Arguments and errors are those of `open_connection`; `**kwargs` are those of
        `loop.create_connection`.
        """
        sock = await self.open_socket(target, timeout=timeout)
        name = server_hostname or _name_to_check(target, ssl)
        try:
            return await asyncio.get_running_loop().create_connection(
                protocol_factory, sock=sock, ssl=ssl, server_hostname=name, **kwargs
            )
        except BaseException:
            sock.close()
            raise

    def httpx_client(self, **kwargs: Any) -> "httpx.Client":
        """Return an `httpx.Client` whose every request goes through the jump host.

        Args:
            **kwargs: as for `httpx.Client`, without `proxy`, `mounts` and `transport`.

        Raises:
            ImportError: httpx is not installed; it is the extra `netjumper[httpx]`.
            TypeError: an argument would bypass the jump host.
        """
        from netjumper.integrations.httpx import client  # noqa: PLC0415 - an extra

        return client(self, **kwargs)

    def httpx_async_client(self, **kwargs: Any) -> "httpx.AsyncClient":
        """Return an `httpx.AsyncClient`; arguments and errors are those of `httpx_client`."""
        from netjumper.integrations.httpx import async_client  # noqa: PLC0415 - an extra

        return async_client(self, **kwargs)


def _secret_of(url: JumpUrl, secret: str | bytes | None, file: str | PathLike[str] | None) -> bytes:
    if file is not None:
        if secret is not None:
            raise ValueError("secret and secret_file are both given; leave one out")
        return _secret_in(Path(file))
    if secret is None:
        if not url.secret:
            raise ValueError("there is no secret; give secret or secret_file")
        secret = url.secret
    if isinstance(secret, str):
        secret = secret.encode("utf-8", "surrogateescape")
    if not secret:
        raise ValueError("the secret is empty")
    return bytes(memoryview(secret))


def _secret_in(path: Path) -> bytes:
    content, status = read_file(path)
    if is_shared(path, status):
        raise ValueError(f"secret_file: others can read {path}; type: chmod 600 {path}")
    if is_foreign(path, status):
        raise ValueError(f"secret_file: {path} belongs to another user, who can change it")
    if not content.strip():
        raise ValueError(f"secret_file: {path} has nothing in it")
    return without_newline(content.removeprefix(codecs.BOM_UTF8))


def _address_of(target: object) -> Address:
    if isinstance(target, Address):
        return target
    if isinstance(target, str):
        return Address.parse(target)
    if isinstance(target, tuple) and len(target) == 2:
        host, port = target
        if isinstance(host, str) and isinstance(port, int):
            return Address.checked(host, port)
    raise TypeError("target: expected 'HOST:PORT' or (HOST, PORT)")


def _settling(
    stands: asyncio.Future[Endpoint],
) -> tuple[Callable[[Endpoint], None], Callable[[NetjumperError], None]]:
    """Return a callback for the tunnel and one for the failure, for a caller that waits."""

    # The caller may give up in the turn of the loop in which the tunnel is established.
    def opened(endpoint: Endpoint) -> None:
        if stands.done():
            endpoint.close()
        else:
            stands.set_result(endpoint)

    def failed(error: NetjumperError) -> None:
        if not stands.done():
            stands.set_exception(error)

    return opened, failed


def _name_to_check(target: Target, ssl: ssl_module.SSLContext | bool | None) -> str | None:
    return _address_of(target).host if ssl else None
