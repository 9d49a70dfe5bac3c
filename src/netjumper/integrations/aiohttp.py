"""aiohttp through a jump host: a connector for `aiohttp.ClientSession`.

aiohttp's socket factory must return unconnected sockets, one for each address of a resolved name;
but names must not be resolved here. So this is a connector, which opens its connections in
`_create_connection` as every connector of aiohttp does.
"""

import socket
from typing import Any

from netjumper.addressing.address import Address
from netjumper.errors import AddressError, NetjumperError
from netjumper.integrations import missing, timed_out
from netjumper.integrations._jumper import OpensTunnels

try:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.client_proto import ResponseHandler
except ModuleNotFoundError as error:
    raise missing("aiohttp", error) from error

__all__ = ["JumperConnector"]


class _NoResolver(AbstractResolver):
    """Looks up no name; without it, aiohttp makes a resolver that does."""

    async def resolve(self, host: str, *_: Any, **__: Any) -> list[ResolveResult]:
        raise OSError(f"{host} is resolved by the jump server, not here")

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class JumperConnector(aiohttp.TCPConnector):
    """A connector that opens all connections through a jump host.

    Args:
        jumper: the jump host.
        **options: as for `aiohttp.TCPConnector`, without those about resolving names and about the
            local address, which are refused with a `TypeError`.

    If a tunnel cannot be opened, requests raise `aiohttp.ClientConnectorError` (for a name that the
    jump server cannot resolve `ClientConnectorDNSError`) with netjumper's error as `__cause__`,
    `aiohttp.ConnectionTimeoutError` after a timeout (`sock_connect` of `aiohttp.ClientTimeout`,
    else the jumper's own limit), and `aiohttp.InvalidURL` for an invalid host. A proxy
    of the request or of the environment (`trust_env`) is refused with
    `aiohttp.ClientProxyConnectionError`.
    """

    def __init__(self, jumper: OpensTunnels, **options: Any) -> None:
        for name in ("resolver", "local_addr", "socket_factory"):
            if options.get(name) is not None:
                raise TypeError(f"{name}: connections are made by the jump server")
        super().__init__(resolver=_NoResolver(), **options)
        self._jumper = jumper

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],  # noqa: ARG002 - traces report look-ups, and there are none
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        key = req.connection_key
        if req.proxy:
            refusal = OSError(None, "a connector through a jump host uses no other proxy")
            raise aiohttp.ClientProxyConnectionError(key, refusal)
        sock = await self._tunnel(req, timeout.sock_connect)
        context = self._get_ssl_context(req)
        name = (req.server_hostname or str(req.url.raw_host)).rstrip(".") if context else None
        try:
            transport, protocol = await self._wrap_existing_connection(
                self._factory, sock=sock, ssl=context, server_hostname=name, req=req,
                timeout=timeout,
            )  # fmt: skip
        except BaseException:
            sock.close()
            raise
        self._check_fingerprint(req, transport)
        return protocol

    async def _tunnel(self, req: aiohttp.ClientRequest, limit: float | None) -> socket.socket:
        try:
            target = Address.checked(str(req.url.raw_host), req.port or 0)
            sock = await self._jumper.open_socket(str(target), timeout=limit)
        except AddressError as error:
            raise aiohttp.InvalidURL(req.url, str(error)) from error
        except NetjumperError as error:
            # A timeout passes unchanged: aiohttp makes a ConnectionTimeoutError of it.
            if isinstance(error, TimeoutError):
                raise
            raise _as_aiohttp_says(error, req) from error
        return sock

    def _check_fingerprint(self, req: aiohttp.ClientRequest, transport: Any) -> None:
        fingerprint = self._get_fingerprint(req)
        if fingerprint is None or not req.is_ssl():
            return
        try:
            fingerprint.check(transport)
        except aiohttp.ServerFingerprintMismatch:
            transport.close()
            raise


def _as_aiohttp_says(error: NetjumperError, req: aiohttp.ClientRequest) -> OSError:
    if timed_out(error):
        return TimeoutError(str(error))
    # aiohttp shows an error's number and system text, which a netjumper error may not have.
    failure = OSError(getattr(error, "errno", None), str(error))
    if isinstance(error, socket.gaierror):
        return aiohttp.ClientConnectorDNSError(req.connection_key, failure)
    return aiohttp.ClientConnectorError(req.connection_key, failure)
