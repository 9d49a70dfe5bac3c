"""A jump host in one line: its address, and how to connect to it.

    HOST:PORT                      without TLS; the same as netjumper://HOST[:PORT]
    netjumper+tls://HOST[:PORT]    with TLS

`CLIENT@` or `CLIENT:SECRET@` can stand before the host. After it, `?` begins a list separated by
`&`: `weight=N`, and for TLS `pin=SHA256` (repeatable) or `ca=system`, and `name=HOST`. No error
repeats the secret.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote_to_bytes

from netjumper.addressing.address import Address, checked_host
from netjumper.errors import AddressError
from netjumper.text import quoted

DEFAULT_PORT = 9527
MAX_WEIGHT = 1000
CLEAR_SCHEME, TLS_SCHEME = "netjumper", "netjumper+tls"
SYSTEM = "system"

CLIENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
CLIENT_NAME_RULE = "of letters, digits, '.', '-' and '_', at most 64"
_URL = re.compile(r"([A-Za-z0-9+.-]*)://(?:([^@/?#]*)@)?([^@/?#]*)/?(?:\?([^#@]*))?")
_WEIGHT = re.compile(r"[0-9]{1,4}", re.ASCII)
_PIN = re.compile(r"(?:sha256:)?([0-9A-Fa-f]{64})", re.ASCII)
_ONLY_TLS = ("pin", "ca", "name")
_KEYS = ("weight", *_ONLY_TLS)


@dataclass(frozen=True, slots=True)
class JumpUrl:
    """A jump host of the settings.

    Attributes:
        address: its address.
        weight: how often it is used with `spread`.
        tls: whether the connection uses TLS.
        client: the client's name there; empty if clients have no names.
        secret: shared with it; empty if it has no secret of its own.
        pins: SHA-256 of the certificates of which it must have one.
        system_ca: an authority that the system trusts must have issued its certificate.
        name: the name that its certificate must have; empty is its host.
    """

    address: Address
    weight: int = 1
    tls: bool = False
    client: str = ""
    secret: str = field(default="", repr=False)
    pins: tuple[bytes, ...] = ()
    system_ca: bool = False
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "JumpUrl":
        """Parse a jump host.

        Raises:
            AddressError: the text is not valid; the message says why.
        """
        if "://" not in text:
            if "@" in text:  # not repeated, as it may contain a secret
                raise AddressError(
                    f"CLIENT@ and CLIENT:SECRET@ need {CLEAR_SCHEME}:// or {TLS_SCHEME}:// before"
                )
            if "," in text or len(text.split()) > 1:
                raise AddressError("these are several jump hosts; give --jump once for each")
            place, equals, weight = text.partition("=")
            if ":" not in place and CLIENT_NAME.fullmatch(place):
                raise AddressError(f"{quoted(place)} has no port; write {place}:{DEFAULT_PORT}")
            return cls(Address.parse(place), _weight(weight) if equals else 1)
        scheme = text.partition("://")[0].lower()
        if scheme not in (CLEAR_SCHEME, TLS_SCHEME):
            raise AddressError("this is another kind of URL")
        found = _URL.fullmatch(text)
        if found is None:
            raise AddressError(
                f"behind {scheme}:// is [CLIENT[:SECRET]@]HOST[:PORT][?KEY=VALUE]; in a secret "
                "@ / ? and # are written %40 %2F %3F and %23"
            )
        address = _address(found[3])
        client, _, secret = (found[2] or "").partition(":")
        options = _options(found[4] or "", scheme == TLS_SCHEME)
        weights, pins = options.get("weight", ()), options.get("pin", ())
        authority, name = _one("ca", options.get("ca", ())), _one("name", options.get("name", ()))
        if authority not in ("", SYSTEM):
            raise AddressError(f"ca can only be {SYSTEM}; for a CA of your own set ca_file")
        if pins and (authority or name):
            raise AddressError("pin cannot be combined with ca or name")
        client = _unquoted(client)
        if client and not CLIENT_NAME.fullmatch(client):
            raise AddressError(f"a client's name is {CLIENT_NAME_RULE}, not {quoted(client)}")
        return cls(
            address,
            _weight(_one("weight", weights)) if weights else 1,
            scheme == TLS_SCHEME,
            client,
            _unquoted(secret),
            tuple(_pin(it) for it in pins),
            authority == SYSTEM,
            checked_host(name) if name else "",
        )

    def __str__(self) -> str:
        """Return the text without the secret."""
        return self.written()

    def written(self, secret: str = "") -> str:
        """Return the text that `parse` reads.

        Args:
            secret: the secret to write into it.
        """
        options = [("weight", str(self.weight))] if self.weight != 1 else []
        options += [("pin", it.hex()) for it in self.pins]
        options += [("ca", SYSTEM)] if self.system_ca else []
        options += [("name", self.name)] if self.name else []
        query = "&".join(f"{key}={_quoted(value, '/:')}" for key, value in options)
        user = _quoted(self.client) + (f":{_quoted(secret)}" if secret else "")
        scheme = TLS_SCHEME if self.tls else CLEAR_SCHEME
        return f"{scheme}://{user}{'@' * bool(user)}{self.address}{'?' * bool(query)}{query}"


def _address(text: str) -> Address:
    """Parse HOST or HOST:PORT; an error repeats no part that may be CLIENT:SECRET.

    A comma within a secret ends one of several jump hosts, so a part of a secret can look like a
    host.
    """
    rest = text.rpartition("]")[2]
    host, colon, port = rest.rpartition(":")
    if "]" in text and not (text.startswith("[") and rest[:1] in ("", ":")):
        raise AddressError("HOST has brackets that do not enclose an IPv6 address")
    if ":" in host:
        raise AddressError(
            "HOST has a : in it; an IPv6 address stands in brackets, and behind a secret is @"
        )
    if colon and not port.isdecimal():
        raise AddressError(
            "behind HOST: is a number; in a secret comma and space are written %2C and %20"
        )
    return address_with_port(text, DEFAULT_PORT)


def address_with_port(text: str, default: int) -> Address:
    """Parse `HOST:PORT`, or `HOST` with the default port; an IPv6 address is in brackets.

    Raises:
        AddressError: the text is neither.
    """
    has_port = ":" in text.rpartition("]")[2]
    return Address.parse(text if has_port else f"{text}:{default}")


def _quoted(text: str, safe: str = "") -> str:
    """Percent-encode text from the environment, in which bytes that are not UTF-8 are
    surrogates."""
    return quote(text, safe, errors="surrogateescape")


def _unquoted(text: str) -> str:
    """Return the text of such bytes; one character can be encoded in part."""
    raw = unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def _options(query: str, is_tls: bool) -> Mapping[str, Sequence[str]]:
    try:
        options = parse_qs(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="surrogateescape",
        )
    except ValueError:
        raise AddressError("behind the ? is KEY=VALUE, and & between several") from None
    for key, values in options.items():
        if key not in _KEYS:
            raise AddressError(f"{quoted(key)} is not one of {', '.join(_KEYS)}")
        if key in _ONLY_TLS and not is_tls:
            raise AddressError(f"{key} is for {TLS_SCHEME}://")
        if "" in values:
            raise AddressError(f"{key} is empty")
    return options


def _one(key: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise AddressError(f"{key} is given twice")
    return values[0] if values else ""


def _weight(text: str) -> int:
    if not (_WEIGHT.fullmatch(text) and 0 < int(text) <= MAX_WEIGHT):
        raise AddressError(f"the weight {quoted(text)} is not a number from 1 to {MAX_WEIGHT}")
    return int(text)


def _pin(text: str) -> bytes:
    found = _PIN.fullmatch(text.replace(":", "") if text.count(":") == 31 else text)
    if found is None:
        raise AddressError(f"the pin {quoted(text)} is not a SHA-256 in 64 hexadecimal digits")
    return bytes.fromhex(found[1])
