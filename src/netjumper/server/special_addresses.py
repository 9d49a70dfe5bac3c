"""Special addresses and names: those that a jump server does not dial unless a rule opens them.

Also the IPv4 addresses inside IPv6 addresses: a NAT64 gateway or a transition mechanism, or the
system itself, connects to those.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from netjumper.addressing.nat64 import PREFIX_LENGTHS, ipv4_inside
from netjumper.addressing.target_rules import IPAddress, reads_as_ipv4

REFUSED_NETWORKS: Sequence[tuple[str, str]] = (
    ("0.0.0.0/8", "this machine"),  # RFC 6890; Linux connects to itself
    ("10.0.0.0/8", "a private network"),  # RFC 1918, as 172.16 and 192.168
    ("100.64.0.0/10", "a provider's own network"),  # RFC 6598
    ("127.0.0.0/8", "this machine"),
    ("168.63.129.16/32", "a cloud provider's service"),  # on an address that looks public
    ("169.254.0.0/16", "a link-local network"),  # RFC 3927
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "a reserved network"),  # RFC 6890
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "a benchmarking network"),  # RFC 2544
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "a reserved network"),
    ("::/128", "this machine"),
    ("::1/128", "this machine"),
    ("::/96", "IPv4 inside IPv6"),  # RFC 4291 section 2.5.5.1
    ("::ffff:0:0:0/96", "IPv4 inside IPv6"),  # IPv4-translated, RFC 2765 section 2.1
    ("64:ff9b:1::/48", "IPv4 inside IPv6 (NAT64)"),  # RFC 8215
    ("2001::/32", "IPv4 inside IPv6 (Teredo)"),  # RFC 4380
    ("2002::/16", "IPv4 inside IPv6 (6to4)"),  # RFC 3056
    ("fc00::/7", "a private network"),  # RFC 4193
    ("fe80::/10", "a link-local network"),
    ("fec0::/10", "a private network"),  # RFC 3879
    ("ff00::/8", "multicast"),
)
"""Networks that are refused unless a rule opens them, and what each is.

`is_global` of the standard library is not enough: 2002::/16 and 168.63.129.16, for example, are
global to it.
"""
METADATA_ADDRESSES = frozenset(
    (
        "100.100.100.200",
        "168.63.129.16",
        "169.254.42.42",
        "169.254.169.253",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "192.0.0.192",
        "fd00:42::42",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
"""Where cloud providers give a machine its credentials; only a rule with the exact address opens
one."""
LOCAL_DOMAINS = (
    "corp",
    "home",
    "home.arpa",  # RFC 8375
    "internal",
    "intranet",
    "lan",
    "local",  # RFC 6762
    "localdomain",
    "localhost",  # RFC 6761
    "private",
)
"""Domains that only local networks use. They are no top-level domains of the internet, and most of
them never will be (RFC 6762 appendix G, ICANN's resolutions on corp, home and internal)."""

_LOCAL_SUFFIXES = tuple(f".{domain}" for domain in LOCAL_DOMAINS)
_DEFAULT_REFUSALS = tuple(
    (ipaddress.ip_network(network), what) for network, what in REFUSED_NETWORKS
)
METADATA = frozenset(map(ipaddress.ip_address, METADATA_ADDRESSES))
_ENDS_WITH_IPV4 = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"))
_UNSPECIFIED_AND_LOOPBACK = ipaddress.IPv6Network("::/127")
"""Two addresses in ::/96 that contain no IPv4 address (RFC 4291 section 2.5)."""
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
"""A reading in this network is at positions that do not have the IPv4 address."""


def is_local_name(host: str) -> bool:
    """Whether a name can only be one of a local network.

    Args:
        host: a name or an IP address, as the client gave it.
    """
    name = host.lower().rstrip(".")
    if ":" in name or reads_as_ipv4(name):
        return False
    return "." not in name or name.endswith(_LOCAL_SUFFIXES)


@lru_cache(maxsize=4096)
def default_refusal(address: IPAddress) -> str:
    """Return what kind of address it is, if that kind is refused by default; else empty."""
    return next((what for network, what in _DEFAULT_REFUSALS if address in network), "")


def translated(
    address: IPAddress, nat64: Sequence[ipaddress.IPv6Network]
) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that is reached by an IPv6 address, if it always is.

    Args:
        address: any address.
        nat64: the prefixes of this network's NAT64 gateways.

    Returns:
        The address inside an IPv4-mapped address (RFC 4291 section 2.5.5.2), or inside one with a
        prefix of `nat64` (RFC 6052); None for all others.
    """
    if address.version == 4:
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    for prefix in nat64:
        if address in prefix:
            return ipv4_inside(address, prefix.prefixlen)
    return None


def possible_ipv4(address: IPAddress) -> Sequence[IPAddress]:
    """Return the IPv4 addresses that an IPv6 address may stand for by an unknown translation."""
    if address.version == 4:
        return ()
    if address.teredo:
        return address.teredo
    if address.sixtofour:
        return (address.sixtofour,)
    if address in _UNSPECIFIED_AND_LOOPBACK:
        return ()
    if any(address in network for network in _ENDS_WITH_IPV4):
        return (ipv4_inside(address, 96),)
    if address in _LOCAL_NAT64:
        readings = [ipv4_inside(address, length) for length in PREFIX_LENGTHS if length >= 48]
        return [it for it in readings if it not in _THIS_NETWORK]
    return ()
