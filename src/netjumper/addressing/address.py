"""`host:port`, checked once where it comes in, so that no other code has to check it.

A host is an IP literal or a name of LDH labels (RFC 952, RFC 1123; with the underscore, which real
names have). A name in another script becomes its IDNA form (RFC 3490). Names are not resolved here.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from netjumper.errors import AddressError
from netjumper.text import quoted

MAX_HOST_BYTES = 253
"""Bytes in a host name without its final dot (RFC 1035 section 2.3.4)."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://")
_PLAIN_HOST = re.compile(r"[A-Za-z0-9._-]{1,80}|\[[0-9A-Fa-f:.]{2,45}\]")
_SEVERAL = re.compile(r"[, ]")
_BRACKETED_HOST = re.compile(r"\[([^\[\]]*)\]:(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name in ASCII or an IP literal without brackets) and a port, both checked."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def checked(cls, host: str, port: int) -> "Address":
        """Return an address made of parts that came from outside.

        Raises:
            AddressError: `host` is not a valid host, or `port` is not in 1-65535.
        """
        if not 1 <= port <= 65535:
            raise AddressError(f"port {port} is not in 1-65535")
        return cls(checked_host(host), port)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.

        Raises:
            AddressError: the text is none of these; the message says what is wrong with it.
        """
        refuse_scheme(text, "HOST:PORT")
        if bracketed := _BRACKETED_HOST.fullmatch(text):
            host, port = bracketed.groups()
            if ":" not in host:
                raise AddressError(f"{quoted(text)}: only an IPv6 address stands in brackets")
        else:
            host, colon, port = text.rpartition(":")
            if not colon:
                raise no_port(text)
            if text.endswith("]"):
                raise no_port(text)
            if ":" in host:
                raise AddressError(_about_colons(text))
        return cls.checked(host, parse_port(port))


def refuse_scheme(text: str, form: str) -> None:
    """Check that a text has no scheme, as URLs have.

    Args:
        text: it is not repeated if it may have a password.
        form: what to write instead, without a scheme.

    Raises:
        AddressError: it has one.
    """
    if found := _SCHEME.match(text):
        shown = "" if "@" in text else f"{quoted(text)}: "
        raise AddressError(f"{shown}write {form} without {found[0]}")


def no_port(text: str) -> AddressError:
    """Return the error for a host that has no port."""
    example = f"; write {text}:PORT" if _PLAIN_HOST.fullmatch(text) else "; write HOST:PORT"
    return AddressError(f"{quoted(text)} has no port{example}")


def _about_colons(text: str) -> str:
    """Return what is wrong with a text of several colons and no brackets."""
    if _SEVERAL.search(text):
        return f"{quoted(text)} is more than one address; give each on its own"
    return f"{quoted(text)}: write an IPv6 address as [ADDRESS]:PORT"


def parse_port(text: str) -> int:
    """Return the port that `text` names in plain ASCII digits.

    Raises:
        AddressError: it is empty, not digits, or not in 1-65535.
    """
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise AddressError(f"port {quoted(text)} is not a number from 1 to 65535")
    return int(text)


def checked_host(host: str) -> str:
    """Return `host` in the form that is sent: ASCII, IDNA-encoded if it was not.

    Raises:
        AddressError: it is empty or too long, or has an empty label or invalid characters.
    """
    if ":" in host:
        literal, percent, zone = host.partition("%")
        try:
            address = ipaddress.IPv6Address(literal)
        except ValueError:
            raise AddressError(f"{quoted(host)} is not an IPv6 address") from None
        # `ipaddress` accepts any characters in a zone (RFC 4007 section 11), and the system ignores
        # the zone of an address that needs none.
        if percent and not _ZONE.fullmatch(zone):
            raise AddressError(f"{quoted(host)} is not an IPv6 address with a zone")
        if percent and not address.is_link_local:
            raise AddressError(f"{quoted(host)}: only a link-local address (fe80::) has a zone")
        return host
    name = host
    if not host.isascii():
        try:
            name = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise AddressError(f"{quoted(host)} is not a valid international name") from None
    if not _NAME.fullmatch(name):
        raise AddressError(f"{quoted(host)} is not a host name")
    if len(name.rstrip(".")) > MAX_HOST_BYTES:
        raise AddressError(
            f"a host name of {len(name)} bytes is over the limit of {MAX_HOST_BYTES}"
        )
    return name


def without_ipv4_mapping(ip: str) -> str:
    """Return the IPv4 address that an IPv6 socket shows as `::ffff:192.0.2.1`; others unchanged.

    Args:
        ip: an address in a socket's notation (RFC 4291 section 2.5.5.2).
    """
    embedded = ip.removeprefix("::ffff:")
    return ip if ":" in embedded else embedded  # ::ffff:0:c000:201 is another kind of address


@lru_cache(maxsize=1024)
def ip_literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address if `host` is one; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
