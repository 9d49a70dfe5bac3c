"""Target rules: the networks, names and ports in `allow` and `deny`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias

from netjumper.addressing.address import Address, checked_host, refuse_scheme
from netjumper.errors import AddressError
from netjumper.text import quoted

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

EVERYTHING = "*"
_EVERYTHING_WORDS = ("all", "any", "everything")
"""What other programs write for it. With a final dot they are the names of hosts."""
_ALL_PORTS = range(1, 65536)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_IPV4_PART = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_BRACKETED_RULE = re.compile(r"\[([^\[\]]*:[^\[\]]*)\](/[0-9]+)?(?::(.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `allow` or `deny`.

    Attributes:
        network: the addresses that it matches; None if it has no network.
        name: the host that it matches, in lower case without a final dot; with a leading dot, that
            domain and all names below it. Empty if it has no name.
        ports: the ports that it matches.
    """

    network: IPNetwork | None = None
    name: str = ""
    ports: range = _ALL_PORTS

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Parse `192.0.2.0/24`, `[2001:db8::]/32:443`, `.example.org:80-443`, `:22` or `*`.

        Raises:
            AddressError: the text is none of these; the message says what is wrong with it.
        """
        host, ports = _parted(text)
        if host.lower() in _EVERYTHING_WORDS:
            raise AddressError(
                f"{quoted(host)} would be a host of that name; all targets are * in deny, and "
                "0.0.0.0/0 and ::/0 in allow"
            )
        if host in ("", EVERYTHING):
            return cls(ports=_ports(ports, text))
        if "/" in host or ":" in host or reads_as_ipv4(host):
            return cls(_network(host), ports=_ports(ports, text))
        try:
            name = checked_host(host.removeprefix(".")).lower().rstrip(".")
        except AddressError as error:
            hint = "; .example.org is it and all below it" if "*" in host else ""
            raise AddressError(f"{error}{hint}") from None
        if reads_as_ipv4(name):  # full-width digits become digits, and a final dot is removed
            raise AddressError(f"{quoted(host)} is neither an address nor a host name")
        return cls(name="." * host.startswith(".") + name, ports=_ports(ports, text))

    def __str__(self) -> str:
        host = self.name if self.network is None else str(self.network)
        if host in _EVERYTHING_WORDS:
            host += "."
        if self.network is not None and self.network.version == 6:
            address, _, length = host.partition("/")
            host = f"[{address}]/{length}"
        if not self.has_ports:
            return host or EVERYTHING
        last = f"-{self.ports[-1]}" if len(self.ports) > 1 else ""
        return f"{host}:{self.ports[0]}{last}"

    @property
    def has_ports(self) -> bool:
        """Whether it has ports."""
        return self.ports != _ALL_PORTS

    @property
    def is_everything(self) -> bool:
        """Whether it matches every target."""
        return self == Rule()

    def matches_name(self, target: Address) -> bool:
        """Whether it matches a target by name and port; a rule with a network does not.

        A rule with a name matches no IP address, whatever characters its zone has.
        """
        if self.network is not None or target.port not in self.ports:
            return False
        if self.name and ":" in target.host:
            return False
        host = target.host.lower().rstrip(".")
        if self.name.startswith("."):
            return f".{host}".endswith(self.name)
        return not self.name or host == self.name

    def matches_address(self, ip: IPAddress, port: int) -> bool:
        """Whether it matches an address and port; a rule without a network does not."""
        return self.network is not None and port in self.ports and ip in self.network


def _parted(text: str) -> tuple[str, str]:
    """Return host and ports of a rule; an IPv6 network needs brackets to have ports."""
    if not text:
        raise AddressError("the rule is empty")
    refuse_scheme(text, "a host, a network or a port")
    if bracketed := _BRACKETED_RULE.fullmatch(text):
        address, length, ports = bracketed.groups(default="")
        return address + length, ports
    if text.startswith("["):
        raise AddressError(f"{quoted(text)}: write [IPV6]:PORT or [IPV6]/LENGTH:PORT")
    if text.count(":") > 1:
        return text, ""
    host, colon, ports = text.partition(":")
    if colon and not ports:
        raise AddressError(f"{quoted(text)} has no port behind the colon")
    return host, ports


def reads_as_ipv4(host: str) -> bool:
    """Return whether common parsers read a host as an IPv4 address (its last part is a number)."""
    return bool(_IPV4_PART.fullmatch(host.rpartition(".")[2]))


def _network(host: str) -> IPNetwork:
    if "%" in host:  # `ipaddress` accepts any characters in a zone
        raise AddressError(f"{quoted(host)}: a rule is about all zones; leave it out")
    try:
        whole = ipaddress.ip_network(host, strict=False)
    except ValueError:
        raise AddressError(f"{quoted(host)} is neither an address nor a network") from None
    if "/" in host and ipaddress.ip_address(host.partition("/")[0]) != whole.network_address:
        raise AddressError(f"{quoted(host)} is an address within a network; write {whole}")
    return whole


def _ports(text: str, rule: str) -> range:
    if not text:
        return _ALL_PORTS
    found = _PORTS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise AddressError(f"{quoted(rule)}: write a port from 1 to 65535, or FIRST-LAST")
    return range(first, last + 1)
