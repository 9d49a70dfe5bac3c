"""The guard: which targets a jump server leads to.

It is asked about a target before its name is looked up, and then about each address that would be
dialled. An address that passed is the one that is connected to: nothing is looked up in between, so
it does not matter what the owner of the name answers the next time.

Only a rule with a network opens what is refused by default. One with a name does not, as whoever
owns the name chooses its addresses.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import IPAddress, Rule

REFUSED: Sequence[tuple[str, str]] = (
    ("0.0.0.0/8", "this machine"),  # RFC 6890; Linux connects to itself
    ("10.0.0.0/8", "a private network"),  # RFC 1918, as 172.16 and 192.168
    ("100.64.0.0/10", "a provider's own network"),  # RFC 6598
    ("127.0.0.0/8", "this machine"),
    ("168.63.129.16/32", "a cloud's own service"),  # on an address that looks public
    ("169.254.0.0/16", "a link-local network"),  # RFC 3927
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "a reserved network"),  # RFC 6890
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "a network for benchmarks"),  # RFC 2544
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "a reserved network"),
    ("::/128", "this machine"),
    ("::1/128", "this machine"),
    ("::/96", "IPv4 in disguise"),  # RFC 4291 section 2.5.5.1
    ("::ffff:0:0/96", "IPv4 in disguise"),  # section 2.5.5.2
    ("::ffff:0:0:0/96", "IPv4 in disguise"),  # IPv4-translated, RFC 2765 section 2.1
    ("64:ff9b::/96", "IPv4 in disguise (NAT64)"),  # RFC 6052
    ("64:ff9b:1::/48", "IPv4 in disguise (NAT64)"),  # RFC 8215
    ("2001::/32", "IPv4 in disguise (Teredo)"),  # RFC 4380
    ("2002::/16", "IPv4 in disguise (6to4)"),  # RFC 3056
    ("fc00::/7", "a private network"),  # RFC 4193
    ("fe80::/10", "a link-local network"),
    ("fec0::/10", "a private network"),  # RFC 3879
    ("ff00::/8", "multicast"),
)
"""Networks that no target may be in, unless a rule opens them, and what they are.

`is_global` of the standard library is not enough: to it 64:ff9b::/96, 2002::/16 and 168.63.129.16,
for example, are global.
"""
METADATA = frozenset(
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
"""Where clouds tell a machine its own credentials; only a rule with just that address opens one."""
REFUSED_PORTS = frozenset({25})
"""Ports that only a rule with that port opens: mail that others would have to answer for."""

_REFUSED = tuple((ipaddress.ip_network(network), what) for network, what in REFUSED)
_METADATA = frozenset(map(ipaddress.ip_address, METADATA))
_ENDS_WITH_IPV4 = (
    ipaddress.IPv6Network("::/96"),
    ipaddress.IPv6Network("::ffff:0:0/96"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),
    ipaddress.IPv6Network("64:ff9b::/96"),
)
_NO_IPV4 = ipaddress.IPv6Network("::/127")
"""The unspecified address and loopback: two in ::/96 with none in it (RFC 4291 section 2.5)."""
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_AT = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
"""Where a local NAT64 may have the bytes of an IPv4 address (RFC 6052 section 2.2)."""
_NO_HOST = ipaddress.IPv4Network("0.0.0.0/8")
"""What the bytes are in the places where it does not have them."""


class Guard:
    """Refuses targets.

    Args:
        allow: what may be dialled though it is refused by default.
        deny: what may not, whatever `allow` says; `*` is everything that `allow` does not name.
    """

    def __init__(self, allow: Iterable[Rule] = (), deny: Iterable[Rule] = ()) -> None:
        self._allow = tuple(allow)
        denied = tuple(deny)
        self._deny = tuple(rule for rule in denied if not rule.is_everything)
        self._denies_others = len(self._deny) < len(denied)

    def check_target(self, target: Address) -> None:
        """Refuse a target by its name and port, before the name is looked up.

        Raises:
            TargetDenied: it may not be dialled, whatever its addresses are.
        """
        for rule in self._deny:
            if rule.has_name(target):
                raise dial_errors.denied(target, "denied by a rule")
        # An address that comes out may be in the network of a rule; then it is asked again.
        self._check_named(
            target,
            [
                rule
                for rule in self._allow
                if rule.has_name(target) or (rule.network and target.port in rule.ports)
            ],
        )

    def check_address(self, target: Address, ip: str) -> None:
        """Refuse an address of a target, before it is dialled.

        Args:
            target: as it was named.
            ip: one of its addresses, as a socket has it.

        Raises:
            TargetDenied: this address may not be dialled.
        """
        for address, what in _seen_through(ip):
            self._check_network(target, address, what)
        first = _seen_through(ip)[0][0]
        self._check_named(
            target,
            [
                rule
                for rule in self._allow
                if rule.has_name(target) or rule.has_address(first, target.port)
            ],
        )

    def _check_named(self, target: Address, by: Sequence[Rule]) -> None:
        """Refuse what has to be named by rules; those that do are `by`."""
        if self._denies_others and not by:
            raise dial_errors.denied(target, "no rule allows it")
        if target.port in REFUSED_PORTS and not any(rule.has_ports for rule in by):
            raise dial_errors.denied(target, f"port {target.port}")

    def _check_network(self, target: Address, address: IPAddress, what: str) -> None:
        for rule in self._deny:
            if rule.has_address(address, target.port):
                raise dial_errors.denied(target, "denied by a rule")
        opened = [it.network for it in self._allow if it.has_address(address, target.port)]
        if address in _METADATA and not any(it and it.num_addresses == 1 for it in opened):
            raise dial_errors.denied(target, f"a cloud's metadata ({address})")
        if what and not opened:
            raise dial_errors.denied(target, f"{what} ({address})")


@lru_cache(maxsize=4096)
def _seen_through(ip: str) -> Sequence[tuple[IPAddress, str]]:
    """Return an address and those that it may lead to, each with what it is if refused."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    return [(it, _what_it_is(it)) for it in (address, *_in_disguise(address))]


def _what_it_is(address: IPAddress) -> str:
    """Return what kind of address it is, where that is refused by default."""
    return next((what for network, what in _REFUSED if address in network), "")


def _in_disguise(address: IPAddress) -> Sequence[IPAddress]:
    """Return the IPv4 addresses that an IPv6 address may lead to."""
    if address.version == 4:
        return ()
    if address.teredo:
        return address.teredo
    if address.sixtofour:
        return (address.sixtofour,)
    if address in _NO_IPV4:
        return ()
    if any(address in network for network in _ENDS_WITH_IPV4):
        return (ipaddress.IPv4Address(address.packed[12:]),)
    if address in _NAT64_LOCAL:
        readings = [ipaddress.IPv4Address(bytes(address.packed[it] for it in at)) for at in _AT]
        return [it for it in readings if it not in _NO_HOST]
    return ()
