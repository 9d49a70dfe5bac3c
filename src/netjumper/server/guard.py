"""The guard: which targets a jump server dials (users know it as access rules).

It checks a target before its name is looked up, and then each address before it is dialled. The
address that passed is the address that is dialled. The name is not looked up again in between, so
its owner cannot answer with another address the second time (DNS rebinding).

Only a rule with a network opens what is refused by default. A rule with a name does not, because
the name's owner chooses its addresses.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import IPAddress, Rule

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
    ("::ffff:0:0/96", "IPv4 inside IPv6"),  # section 2.5.5.2
    ("::ffff:0:0:0/96", "IPv4 inside IPv6"),  # IPv4-translated, RFC 2765 section 2.1
    ("64:ff9b::/96", "IPv4 inside IPv6 (NAT64)"),  # RFC 6052
    ("64:ff9b:1::/48", "IPv4 inside IPv6 (NAT64)"),  # RFC 8215
    ("2001::/32", "IPv4 inside IPv6 (Teredo)"),  # RFC 4380
    ("2002::/16", "IPv4 inside IPv6 (6to4)"),  # RFC 3056
    ("fc00::/7", "a private network"),  # RFC 4193
    ("fe80::/10", "a link-local network"),
    ("fec0::/10", "a private network"),  # RFC 3879
    ("ff00::/8", "multicast"),
)
"""Networks that are refused unless a rule opens them, and what each is.

`is_global` of the standard library is not enough: 64:ff9b::/96, 2002::/16 and 168.63.129.16, for
example, are global to it.
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
REFUSED_PORTS = frozenset({25})
"""Ports that only a rule with that port opens: mail, as this host would be blamed for spam."""

_DEFAULT_REFUSALS = tuple(
    (ipaddress.ip_network(network), what) for network, what in REFUSED_NETWORKS
)
_METADATA = frozenset(map(ipaddress.ip_address, METADATA_ADDRESSES))
_ENDS_WITH_IPV4 = (
    ipaddress.IPv6Network("::/96"),
    ipaddress.IPv6Network("::ffff:0:0/96"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),
    ipaddress.IPv6Network("64:ff9b::/96"),
)
_UNSPECIFIED_AND_LOOPBACK = ipaddress.IPv6Network("::/127")
"""Two addresses in ::/96 that contain no IPv4 address (RFC 4291 section 2.5)."""
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_POSITIONS = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
"""Where a local NAT64 prefix can have the bytes of the IPv4 address (RFC 6052 section 2.2)."""
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
"""A reading in this network is at positions that do not have the IPv4 address."""


class Guard:
    """Refuses targets.

    Args:
        allow: targets that are dialled although they are refused by default.
        deny: targets that are refused, whatever `allow` has; `*` is every target that no rule of
            `allow` matches.
    """

    def __init__(self, allow: Iterable[Rule] = (), deny: Iterable[Rule] = ()) -> None:
        self._allow = tuple(allow)
        denied = tuple(deny)
        self._deny = tuple(rule for rule in denied if not rule.is_everything)
        self._denies_others = len(self._deny) < len(denied)

    def check_target(self, target: Address) -> None:
        """Refuse a target by its name and port, before the name is looked up.

        Raises:
            TargetDenied: it is refused, whatever its addresses are.
        """
        for rule in self._deny:
            if rule.matches_name(target):
                raise dial_errors.denied(target, "denied by a rule")
        # An address of the name can be in the network of a rule: that is checked after the look-up.
        self._require_rule(
            target,
            [
                rule
                for rule in self._allow
                if rule.matches_name(target) or (rule.network and target.port in rule.ports)
            ],
        )

    def check_address(self, target: Address, ip: str) -> None:
        """Refuse an address of a target, before it is dialled.

        Args:
            target: the target as the client named it.
            ip: one of its addresses, in a socket's notation.

        Raises:
            TargetDenied: this address is refused.
        """
        for address, what in _with_embedded(ip):
            self._check_network(target, address, what)
        first = _with_embedded(ip)[0][0]
        self._require_rule(
            target,
            [
                rule
                for rule in self._allow
                if rule.matches_name(target) or rule.matches_address(first, target.port)
            ],
        )

    def _require_rule(self, target: Address, matching: Sequence[Rule]) -> None:
        """Refuse a target that needs a rule of `allow`, given the rules that match it."""
        if self._denies_others and not matching:
            raise dial_errors.denied(target, "no rule allows it")
        if target.port in REFUSED_PORTS and not any(rule.has_ports for rule in matching):
            raise dial_errors.denied(target, f"port {target.port}")

    def _check_network(self, target: Address, address: IPAddress, what: str) -> None:
        for rule in self._deny:
            if rule.matches_address(address, target.port):
                raise dial_errors.denied(target, "denied by a rule")
        opened = [it.network for it in self._allow if it.matches_address(address, target.port)]
        if address in _METADATA and not any(it and it.num_addresses == 1 for it in opened):
            raise dial_errors.denied(target, f"cloud metadata ({address})")
        if what and not opened:
            raise dial_errors.denied(target, f"{what} ({address})")


@lru_cache(maxsize=4096)
def _with_embedded(ip: str) -> Sequence[tuple[IPAddress, str]]:
    """Return an address and those embedded in it, each with why it is refused by default, if so."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    return [(it, _default_refusal(it)) for it in (address, *_embedded_ipv4(address))]


def _default_refusal(address: IPAddress) -> str:
    """Return what kind of address it is, if that kind is refused by default; else empty."""
    return next((what for network, what in _DEFAULT_REFUSALS if address in network), "")


def _embedded_ipv4(address: IPAddress) -> Sequence[IPAddress]:
    """Return the IPv4 addresses that an IPv6 address can stand for."""
    if address.version == 4:
        return ()
    if address.teredo:
        return address.teredo
    if address.sixtofour:
        return (address.sixtofour,)
    if address in _UNSPECIFIED_AND_LOOPBACK:
        return ()
    if any(address in network for network in _ENDS_WITH_IPV4):
        return (ipaddress.IPv4Address(address.packed[12:]),)
    if address in _LOCAL_NAT64:
        readings = [
            ipaddress.IPv4Address(bytes(address.packed[it] for it in at)) for at in _IPV4_POSITIONS
        ]
        return [it for it in readings if it not in _THIS_NETWORK]
    return ()
