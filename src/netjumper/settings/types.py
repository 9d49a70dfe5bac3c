"""The types of the settings' values: what each must be, and what a message says it must be.

The types are strict: text from the environment and from flags is turned into numbers and lists
before it gets here (`netjumper.settings.sources`).
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr

from netjumper.addressing.address import ip_literal
from netjumper.addressing.choices import EarlyData, JumpPolicy, LogFormat, LogLevel
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.nat64 import parse_prefix
from netjumper.addressing.target_rules import Rule
from netjumper.text import alternatives, quoted


@dataclass(frozen=True, slots=True)
class Expected:
    """What values a setting takes.

    Attributes:
        text: names them in the message about another value.
        metavar: stands for one in the help.
        choices: all of them, if they are words to choose from.
    """

    text: str
    metavar: str = ""
    choices: tuple[str, ...] = ()


def _one_of(words: type[StrEnum]) -> Expected:
    choices = tuple(word.value for word in words)
    return Expected(alternatives(choices), choices=choices)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _jump_hosts(value: object) -> tuple[JumpUrl, ...]:
    values = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise ValueError  # noqa: TRY004 - pydantic expects this one
    return tuple(
        item if isinstance(item, JumpUrl) else JumpUrl.parse(_string(item)) for item in values
    )


def _listen_addresses(value: object) -> tuple[ListenAddress, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - pydantic expects this one
    return tuple(
        item if isinstance(item, ListenAddress) else ListenAddress.parse(_string(item))
        for item in value
    )


def _rules(value: object) -> tuple[Rule, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - pydantic expects this one
    return tuple(item if isinstance(item, Rule) else Rule.parse(_string(item)) for item in value)


def _nat64_prefixes(value: object) -> tuple[IPv6Network, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - pydantic expects this one
    return tuple(it if isinstance(it, IPv6Network) else parse_prefix(_string(it)) for it in value)


def _sources(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - pydantic expects this one
    addresses = tuple(_string(item) for item in value)
    literals = [ip_literal(address) for address in addresses]
    if None in literals:
        raise ValueError(f"{quoted(addresses[literals.index(None)])} is not an IP address")
    if len({literal.version for literal in literals if literal}) < len(literals):
        raise ValueError("more than one address of the same family")
    return addresses


def _path(value: object) -> Path:
    text = _string(str(value) if isinstance(value, Path) else value)
    if not text:
        raise ValueError("the name of the file is empty")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"unknown home directory: {quoted(text)}") from None


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - pydantic expects this one
    return value


_AnyCase = BeforeValidator(_lower)
"""Words to choose from are taken in any case, as other programs take levels."""
LIST_OF = "a list of "
Listen = Annotated[
    tuple[ListenAddress, ...],
    PlainValidator(_listen_addresses),
    Expected(f"{LIST_OF}HOST:PORT, [IPV6]:PORT, :PORT or unix:/path", "HOST:PORT"),
]
JumpHosts = Annotated[
    tuple[JumpUrl, ...],
    PlainValidator(_jump_hosts),
    Expected(
        f"{LIST_OF}HOST:PORT, HOST:PORT=WEIGHT, netjumper:// or netjumper+tls://", "HOST:PORT"
    ),
]
JumpPolicyName = Annotated[JumpPolicy, Field(strict=False), _AnyCase, _one_of(JumpPolicy)]
FilePath = Annotated[Path | None, PlainValidator(_path), Expected("the path of a file", "FILE")]
Timeout = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    Expected("a number of seconds greater than 0", "SECONDS"),
]
PeerTimeout = Annotated[
    float,
    Field(ge=0, le=3600, allow_inf_nan=False),
    Expected("a number of seconds from 0 to 3600", "SECONDS"),
]
TimeoutOrZero = Annotated[
    float, Field(ge=0, allow_inf_nan=False), Expected("a number of seconds, 0 or more", "SECONDS")
]
Bandwidth = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
    Expected("a number of megabits per second, 0 or more", "MBIT"),
]
Count = Annotated[int, Field(ge=0), Expected("a whole number, 0 or more", "NUMBER")]
Name = Annotated[str, Field(max_length=15), Expected("a name of at most 15 bytes", "NAME")]
Mark = Annotated[
    int, Field(ge=0, lt=2**32), Expected("a whole number from 0 to 4294967295", "NUMBER")
]
Sources = Annotated[
    tuple[str, ...],
    PlainValidator(_sources),
    Expected(f"{LIST_OF}one IPv4 address, one IPv6 address, or both", "ADDRESS"),
]
Rules = Annotated[
    tuple[Rule, ...],
    PlainValidator(_rules),
    Expected(f"{LIST_OF}NETWORK, NAME or .NAME, each with or without :PORT, or :PORT", "RULE"),
]
Nat64Prefixes = Annotated[
    tuple[IPv6Network, ...],
    PlainValidator(_nat64_prefixes),
    Expected(f"{LIST_OF}an IPv6 network, such as 64:ff9b:1::/96", "NETWORK"),
]
Workers = Annotated[int, Field(ge=1, le=1024), Expected("a whole number from 1 to 1024", "NUMBER")]
Secret = Annotated[SecretStr | None, Expected("text")]
Auth = Annotated[SecretStr | None, Expected("user:password", "USER:PASSWORD")]
Switch = Annotated[bool, Expected("true or false")]
EarlyDataMode = Annotated[EarlyData, Field(strict=False), _AnyCase, _one_of(EarlyData)]
LogLevelName = Annotated[LogLevel, Field(strict=False), _AnyCase, _one_of(LogLevel)]
LogFormatName = Annotated[LogFormat, Field(strict=False), _AnyCase, _one_of(LogFormat)]
