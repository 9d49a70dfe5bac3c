"""IPv4 addresses inside the IPv6 addresses that a NAT64 gateway translates (RFC 6052)."""

import ipaddress

from netjumper.errors import AddressError
from netjumper.text import quoted

WELL_KNOWN_PREFIX = ipaddress.IPv6Network("64:ff9b::/96")
"""The prefix of most gateways (RFC 6052 section 2.1)."""
PREFIX_LENGTHS = (32, 40, 48, 56, 64, 96)
"""Bits that a prefix can have (RFC 6052 section 2.2)."""


def parse_prefix(text: str) -> ipaddress.IPv6Network:
    """Read the prefix of a gateway, such as `64:ff9b:1::/96`.

    Raises:
        AddressError: it is no IPv6 network, or has a length that no gateway uses.
    """
    try:
        prefix = ipaddress.IPv6Network(text)
    except ValueError:
        raise AddressError(f"{quoted(text)} is not an IPv6 network") from None
    if prefix.prefixlen not in PREFIX_LENGTHS:
        lengths = ", ".join(map(str, PREFIX_LENGTHS))
        raise AddressError(f"{quoted(text)}: the length of a NAT64 prefix is one of {lengths}")
    return prefix


def ipv4_inside(address: ipaddress.IPv6Address, length: int) -> ipaddress.IPv4Address:
    """Return the IPv4 address behind a prefix (RFC 6052 section 2.2).

    Args:
        address: the IPv6 address.
        length: the bits of its prefix, one of `PREFIX_LENGTHS`.
    """
    # Byte 8 is zero and skipped, except behind a prefix that contains it.
    positions = [it for it in range(length // 8, 16) if it != 8 or length == 96]
    return ipaddress.IPv4Address(bytes(address.packed[it] for it in positions[:4]))
