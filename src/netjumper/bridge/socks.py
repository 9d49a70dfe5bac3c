"""The server side of SOCKS: versions 5 (RFC 1928, RFC 1929), 4 and 4a. CONNECT only.

Host names are passed on as they are: nothing is resolved here.
"""

import ipaddress
import re
from collections.abc import Generator
from enum import IntEnum

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.protocol_detection import SOCKS4, SOCKS5, describe_for_socks
from netjumper.bridge.replies import ReplyCode, reply_for
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    CredentialsMissing,
    ProtocolError,
)
from netjumper.protocol.handshake import ListeningHandshake, Reading, TunnelRequest

AUTH_VERSION = 1
"""The version of the password authentication (RFC 1929 section 2)."""
MAX_SOCKS4_FIELD_BYTES = 255
"""Bytes in a user id or a host name of SOCKS4, which the protocol itself does not limit."""
_BRACKETED_IPV6 = re.compile(r"\[([^\]]*:[^\]]*)\]")
"""An IPv6 address as it stands in a URL, which some clients send as a name."""


class AuthMethod(IntEnum):
    """Authentication methods (RFC 1928 section 3)."""

    NONE = 0x00
    PASSWORD = 0x02
    NOT_ACCEPTABLE = 0xFF


class Command(IntEnum):
    """Commands (RFC 1928 section 4); SOCKS4 has the same numbers."""

    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


class AddressType(IntEnum):
    """Address types (RFC 1928 section 5)."""

    IPV4 = 1
    NAME = 3
    IPV6 = 4


class Socks4Reply(IntEnum):
    """The CD field of a SOCKS4 reply."""

    GRANTED = 90
    REJECTED = 91


class SocksHandshake(ListeningHandshake[TunnelRequest]):
    """Detects the version by the first byte and reads the request.

    Args:
        credentials: the user names and passwords; None accepts every client. SOCKS4 has no
            passwords, so it is rejected if there are credentials.
    """

    __slots__ = ("_credentials", "_version")

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials
        self._version = 0
        super().__init__()

    def accept(self) -> None:
        """Grant the request. The bound address is unknown here, so the reply has 0.0.0.0:0."""
        if self._version == SOCKS4:
            self._reply4(Socks4Reply.GRANTED)
        else:
            self._reply5(ReplyCode.SUCCEEDED)

    def reject(self, error: Exception) -> None:
        """Reject the request with the reply code of the error."""
        if self._version == SOCKS4:
            self._reply4(Socks4Reply.REJECTED)
        else:
            self._reply5(reply_for(error).socks)

    def _steps(self) -> Generator[None, None, TunnelRequest]:
        self._version = (yield from self._read_exactly(1))[0]
        if self._version == SOCKS5:
            return (yield from self._steps5())
        if self._version == SOCKS4:
            return (yield from self._steps4())
        hint = describe_for_socks(self._version)
        raise ProtocolError(hint or f"SOCKS begins with byte 4 or 5, not {self._version}")

    def _steps5(self) -> Generator[None, None, TunnelRequest]:
        count = (yield from self._read_exactly(1))[0]
        methods = yield from self._read_exactly(count)
        user = ""
        method = self._choose_method(methods)
        self._write(bytes((SOCKS5, method)))
        if method == AuthMethod.NOT_ACCEPTABLE:
            raise CredentialsMissing("no acceptable authentication method was offered")
        self._nothing_requested()  # it may be a health check, or a client that preconnects
        if method == AuthMethod.PASSWORD:
            user = yield from self._authenticate()
        version, command, _, address_type = yield from self._read_exactly(4)
        if version != SOCKS5:
            self._reply5(ReplyCode.GENERAL_FAILURE)
            raise ProtocolError(f"the request has version {version}, not 5")
        host = yield from self._read_host(address_type)
        port = int.from_bytes((yield from self._read_exactly(2)))
        if command != Command.CONNECT:
            self._reply5(ReplyCode.COMMAND_NOT_SUPPORTED)
            raise ProtocolError(f"command {command} is not supported, only CONNECT")
        return self._request(host, port, user)

    def _choose_method(self, methods: bytes) -> AuthMethod:
        if self._credentials is None and AuthMethod.NONE in methods:
            return AuthMethod.NONE
        if AuthMethod.PASSWORD in methods:
            return AuthMethod.PASSWORD
        return AuthMethod.NOT_ACCEPTABLE

    def _authenticate(self) -> Generator[None, None, str]:
        """RFC 1929. Without credentials, any are accepted: some clients offer no other method."""
        version, size = yield from self._read_exactly(2)
        user = yield from self._read_exactly(size)
        size = (yield from self._read_exactly(1))[0]
        password = yield from self._read_exactly(size)
        if version != AUTH_VERSION:
            self._write(bytes((AUTH_VERSION, 1)))
            raise ProtocolError(f"the password negotiation has version {version}, not 1 (RFC 1929)")
        matches = self._credentials is None or self._credentials.check(user, password)
        self._write(bytes((AUTH_VERSION, 0 if matches else 1)))
        if not matches:
            raise AuthenticationError("wrong user name or password")
        # Without a check, the name proves nothing, so it is not reported.
        return user.decode("utf-8", "replace") if self._credentials is not None else ""

    def _read_host(self, address_type: int) -> Generator[None, None, str]:
        if address_type == AddressType.IPV4:
            return str(ipaddress.IPv4Address((yield from self._read_exactly(4))))
        if address_type == AddressType.IPV6:
            return str(ipaddress.IPv6Address((yield from self._read_exactly(16))))
        if address_type == AddressType.NAME:
            size = (yield from self._read_exactly(1))[0]
            return (yield from self._read_exactly(size)).decode("utf-8", "replace")
        self._reply5(ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
        raise ProtocolError(f"address type {address_type} is not supported")

    def _steps4(self) -> Generator[None, None, TunnelRequest]:
        command, *rest = yield from self._read_exactly(7)
        port = int.from_bytes(rest[:2])
        ip = bytes(rest[2:])
        yield from self._read_field4()  # the user id, which proves nothing
        host = str(ipaddress.IPv4Address(ip))
        if ip[:3] == b"\0\0\0" and ip[3]:
            # SOCKS4a: after an address 0.0.0.x, a host name follows.
            name = yield from self._read_field4()
            host = name.decode("utf-8", "replace")
        if self._credentials is not None:
            self._reply4(Socks4Reply.REJECTED)
            raise CredentialsMissing("SOCKS4 has no password; use SOCKS5")
        if command != Command.CONNECT:
            self._reply4(Socks4Reply.REJECTED)
            raise ProtocolError(f"command {command} is not supported, only CONNECT")
        return self._request(host, port, "")

    def _read_field4(self) -> Reading:
        try:
            return (yield from self._read_until(b"\0", MAX_SOCKS4_FIELD_BYTES))
        except ProtocolError:
            self._reply4(Socks4Reply.REJECTED)
            raise

    def _request(self, host: str, port: int, user: str) -> TunnelRequest:
        if literal := _BRACKETED_IPV6.fullmatch(host):
            host = literal[1]
        try:
            return TunnelRequest(Address.checked(host, port), user)
        except AddressError as error:
            self.reject(error)
            raise

    def _reply4(self, code: Socks4Reply) -> None:
        self._write(bytes((0, code, 0, 0, 0, 0, 0, 0)))

    def _reply5(self, code: ReplyCode) -> None:
        self._write(bytes((SOCKS5, code, 0, AddressType.IPV4, 0, 0, 0, 0, 0, 0)))
