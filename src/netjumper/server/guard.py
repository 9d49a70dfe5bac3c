"""The guard: which targets a jump server dials (users know it as access rules).

It checks a target before its name is looked up, and then each address before it is dialled. The
address that passed is the address that is dialled. The name is not looked up again in between, so
its owner cannot answer with another address the second time (DNS rebinding).

Only a rule with a network opens what is refused by default. A rule with a name does not, because
the name's owner chooses its addresses.

A refusal must not tell the client what the local network has. A local name is refused before it is
looked up, and any other name with a local address gets the answer of a name that does not exist.
The reason, and the rule that would open the target, are in the error's `detail`, for the log.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.addressing.nat64 import WELL_KNOWN_PREFIX
from netjumper.addressing.target_rules import IPAddress, IPNetwork, Rule, reads_as_ipv4
from netjumper.errors import TargetError
from netjumper.server.special_addresses import (
    METADATA,
    default_refusal,
    is_local_name,
    possible_ipv4,
    translated,
)

REFUSED_PORTS = frozenset({25})
"""Ports that only a rule with that port opens: mail, as this host would be blamed for spam."""


class Guard:
    """Refuses targets.

    Args:
        allow: targets that are dialled although they are refused by default.
        deny: targets that are refused, whatever `allow` has; `*` is every target that no rule of
            `allow` matches.
        nat64: prefixes of NAT64 gateways besides 64:ff9b::/96; an address with one is judged by the
            IPv4 address inside.
        own_networks: returns this machine's addresses and the networks that it is directly attached
            to, with what each is. They are refused by default, as their hosts trust this one.
    """

    def __init__(
        self,
        allow: Iterable[Rule] = (),
        deny: Iterable[Rule] = (),
        *,
        nat64: Iterable[ipaddress.IPv6Network] = (),
        own_networks: Callable[[], Iterable[tuple[IPNetwork, str]]] = tuple,
    ) -> None:
        self._allow = tuple(allow)
        denied = tuple(deny)
        self._deny = tuple(rule for rule in denied if not rule.is_everything)
        self._denies_others = len(self._deny) < len(denied)
        self._own_networks = own_networks
        self._nat64 = (WELL_KNOWN_PREFIX, *nat64)

    def check_target(self, target: Address) -> None:
        """Refuse a target by its name and port, before the name is looked up.

        Raises:
            TargetDenied: it is refused, whatever its addresses are.
        """
        for rule in self._deny:
            if rule.matches_name(target):
                raise _refused(target, f"denied by {rule}")
        # An address of the name can be in the network of a rule: that is checked after the look-up.
        possible = [
            rule
            for rule in self._allow
            if rule.matches_name(target) or (rule.network and target.port in rule.ports)
        ]
        self._require_rule(target, possible)
        if is_local_name(target.host) and not any(rule.network for rule in possible):
            raise _refused(target, "a name of the local network; --allow NETWORK opens it")

    def check_address(self, target: Address, ip: str) -> None:
        """Refuse an address of a target, before it is dialled.

        Args:
            target: the target as the client named it.
            ip: one of its addresses, in a socket's notation.

        Raises:
            TargetDenied: this address is refused.
            NameNotFound: it is refused, and the client shall not learn that the name has it.
        """
        address = _parsed(ip)
        dialled = translated(address, self._nat64) or address
        if dialled is not address:
            self._check_denied(target, address)
        for each in (dialled, *possible_ipv4(dialled)):
            self._check_denied(target, each)
            self._check_opened(target, each)
        self._require_rule(
            target,
            [
                rule
                for rule in self._allow
                if rule.matches_name(target)
                or rule.matches_address(dialled, target.port)
                or rule.matches_address(address, target.port)
            ],
        )

    def _require_rule(self, target: Address, matching: Sequence[Rule]) -> None:
        """Refuse a target that needs a rule of `allow`, given the rules that match it."""
        if self._denies_others and not matching:
            raise _refused(target, f"no rule allows it; --allow {target} opens it")
        if target.port in REFUSED_PORTS and not any(rule.has_ports for rule in matching):
            raise _refused(target, f"port {target.port}; allow :{target.port} opens it")

    def _check_denied(self, target: Address, address: IPAddress) -> None:
        for rule in self._deny:
            if rule.matches_address(address, target.port):
                raise _refused(target, f"denied by {rule}", address)

    def _check_opened(self, target: Address, address: IPAddress) -> None:
        """Refuse an address that is refused by default and that no rule opens."""
        opened = [it.network for it in self._allow if it.matches_address(address, target.port)]
        if address in METADATA and not any(it and it.num_addresses == 1 for it in opened):
            raise _refused(target, "cloud metadata", address, opens=True)
        if not opened and (what := default_refusal(address) or self._own_network(address)):
            raise _refused(target, what, address, opens=True)

    def _own_network(self, address: IPAddress) -> str:
        """Return what an address is if it belongs to this machine's networks; else empty."""
        return next((what for network, what in self._own_networks() if address in network), "")


def _refused(
    target: Address, reason: str, address: IPAddress | None = None, *, opens: bool = False
) -> TargetError:
    """Return the error for a refused target.

    Args:
        target: as the client named it.
        reason: for the log.
        address: the address that is refused; None if it is the target itself.
        opens: whether a rule with this address opens it.
    """
    detail = f"{reason} ({address})" if address else reason
    if opens:
        detail += f"; --allow {address} opens it"
    is_name = ":" not in target.host and not reads_as_ipv4(target.host)
    if is_name and address and (opens or default_refusal(address)):
        return dial_errors.hidden(target.host, detail)
    return dial_errors.refused_by_rule(str(target), detail)


@lru_cache(maxsize=4096)
def _parsed(ip: str) -> IPAddress:
    return ipaddress.ip_address(ip.partition("%")[0])
