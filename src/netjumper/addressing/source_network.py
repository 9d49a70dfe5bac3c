"""The source of a connection: the network that its peer's address belongs to."""

import functools
import ipaddress

_ALL_OF_IPV4 = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0:0/96", "64:ff9b::/96")))
"""Networks whose addresses have an IPv4 address in them (RFC 2765 section 2.1, RFC 6052)."""


def ip_of(peer: str) -> str:
    """Return the IP address of `IP:PORT`; empty for a unix socket."""
    return peer.rpartition(":")[0].strip("[]")


def source_of(peer: str) -> str:
    """Return what counts as one source: an IPv4 address, an IPv6 network of 64 bits.

    A host with one address of such a network has all of them (RFC 6177). In a network that stands
    for all of IPv4, an address is a source of its own. A unix socket has no
    source: the permissions of its file decide who can connect.

    Args:
        peer: `IP:PORT` or `unix`.
    """
    ip = ip_of(peer)
    return _network_of(ip) if ":" in ip else ip


def is_loopback(peer: str) -> bool:
    """Return whether a peer is a program of this machine, which shares its address with others."""
    ip = ip_of(peer)
    return ip == "::1" or ip.startswith("127.")


@functools.lru_cache(maxsize=1024)
def _network_of(ip: str) -> str:
    address = ipaddress.IPv6Address(ip.partition("%")[0])
    if any(address in network for network in _ALL_OF_IPV4):
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
