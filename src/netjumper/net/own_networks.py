"""This machine's addresses, and the networks that it is directly attached to (rtnetlink(7))."""

import contextlib
import ipaddress
import logging
import os
import socket
import struct
import weakref
from collections.abc import Iterator, Sequence

from netjumper.addressing.target_rules import IPAddress, IPNetwork

OwnNetwork = tuple[IPNetwork, str]
"""A network, and what it is, for people."""

MIN_IPV4_PREFIX_BITS = 8
"""A shorter prefix is a tunnel's, which has a part of the internet behind it."""
MAX_IPV6_PREFIX_BITS = 64
"""The neighbours of an address with a longer prefix are in its /64 as well (RFC 4291 section
2.5.1)."""
_LOG = logging.getLogger(__name__)
_READ_SIZE = 64 * 1024
_ADDRESS_CHANGES = 0x10 | 0x100
"""RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR: the kernel sends a message for each change."""
_NLMSG_DONE, _RTM_NEWADDR, _RTM_GETADDR = 3, 20, 22
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")
_ADDRESS_MESSAGE = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


class OwnNetworks:
    """Reads the networks when it is called first, and again when the kernel has reported a change.

    It works without an event loop: each call looks whether a report is there. On systems without
    rtnetlink there are none.
    """

    def __init__(self) -> None:
        self._changes: socket.socket | None = None
        self._process = 0
        self._networks: Sequence[OwnNetwork] = ()

    def __call__(self) -> Sequence[OwnNetwork]:
        """Return this machine's addresses, as networks of one, and its networks behind them."""
        if not hasattr(socket, "AF_NETLINK"):
            return ()
        try:
            if self._has_changed():
                self._networks = tuple(_read())
        except OSError as error:
            if not self._networks:
                _LOG.warning("the networks of this machine cannot be read: %s", error)
                self._networks = _UNKNOWN
        return self._networks

    def close(self) -> None:
        """Close the socket; the next call opens another one."""
        if self._changes is not None:
            self._changes.close()
            self._changes = None

    def _has_changed(self) -> bool:
        if self._changes is None or self._process != os.getpid():  # a fork shares the reports
            self.close()
            self._changes = _open(_ADDRESS_CHANGES)
            weakref.finalize(self, self._changes.close)  # at the end of the process, too
            self._process = os.getpid()
            return True
        changed = False
        with contextlib.suppress(BlockingIOError):
            while True:
                changed = True if self._received(self._changes) else changed
        return changed

    def _received(self, sock: socket.socket) -> bool:
        try:
            return bool(sock.recv(_READ_SIZE, socket.MSG_DONTWAIT))
        except BlockingIOError:
            raise
        except OSError:  # ENOBUFS: reports were lost
            return True


_UNKNOWN: Sequence[OwnNetwork] = ((ipaddress.IPv4Network("127.0.0.0/8"), "this machine"),)
"""Stands for networks that could not be read, so that the warning comes once."""


def _open(groups: int) -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, groups))
    except OSError:
        sock.close()
        raise
    return sock


def _read() -> Iterator[OwnNetwork]:
    with _open(0) as sock:
        sock.settimeout(1.0)
        request = _ADDRESS_MESSAGE.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        size = _HEADER.size + len(request)
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        sock.send(_HEADER.pack(size, _RTM_GETADDR, flags, 1, 0) + request)
        while True:
            for kind, body in _messages(sock.recv(_READ_SIZE)):
                if kind == _NLMSG_DONE:
                    return
                if kind == _RTM_NEWADDR:
                    yield from _networks_of(body)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        size, kind, _, _, _ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : size]
        data = data[_aligned(max(size, _HEADER.size)) :]


def _networks_of(message: bytes) -> Iterator[OwnNetwork]:
    """Yield an interface's address, and the network that it is in.

    With a peer, as on a point-to-point line, the network is the peer's.
    """
    family, bits, _, _, _ = _ADDRESS_MESSAGE.unpack_from(message)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    attributes = dict(_attributes(message[_ADDRESS_MESSAGE.size :]))
    own = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if own is None:
        return
    yield ipaddress.ip_network(own), "this machine"
    network = attached(ipaddress.ip_address(attributes.get(_IFA_ADDRESS, own)), bits)
    if network is not None:
        yield network, "a network of this machine"


def attached(address: IPAddress, bits: int) -> IPNetwork | None:
    """Return the directly attached network of an interface's address; None if it has none.

    Args:
        address: the interface's, or its peer's.
        bits: the length of its prefix.
    """
    if address.version == 6:
        bits = min(bits, MAX_IPV6_PREFIX_BITS)
    elif bits < MIN_IPV4_PREFIX_BITS:
        return None
    return ipaddress.ip_network((address, bits), strict=False)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : size]
        data = data[_aligned(max(size, _ATTRIBUTE.size)) :]


def _aligned(size: int) -> int:
    return (size + 3) & ~3
