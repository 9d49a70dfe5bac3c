"""The types of the settings' values: what each must be, and how that is told.

Strict types: text from the environment and from flags is turned into numbers and lists before it
gets here (`netjumper.settings.loader`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, SecretStr

from netjumper.addressing.address import ip_literal
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.addressing.target_rules import Rule
from netjumper.text import quoted


@dataclass(frozen=True, slots=True)
class Expected:
    """What a key wants: `text` in the message when it gets something else, `metavar` in help."""

    text: str
    metavar: str = ""


def _jump_hosts(value: object) -> tuple[JumpUrl, ...]:
    values = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise ValueError  # noqa: TRY004 - the one that pydantic takes
    return tuple(
        item if isinstance(item, JumpUrl) else JumpUrl.parse(_string(item)) for item in values
    )


def _listen_addresses(value: object) -> tuple[ListenAddress, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - the one that pydantic takes
    return tuple(
        item if isinstance(item, ListenAddress) else ListenAddress.parse(_string(item))
        for item in value
    )


def _rules(value: object) -> tuple[Rule, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - the one that pydantic takes
    return tuple(item if isinstance(item, Rule) else Rule.parse(_string(item)) for item in value)


def _sources(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError  # noqa: TRY004 - the one that pydantic takes
    addresses = tuple(_string(item) for item in value)
    literals = [ip_literal(address) for address in addresses]
    if None in literals:
        raise ValueError(f"{quoted(addresses[literals.index(None)])} is no IP address")
    if len({literal.version for literal in literals if literal}) < len(literals):
        raise ValueError("there are two addresses of a family")
    return addresses


def _path(value: object) -> Path:
    text = _string(str(value) if isinstance(value, Path) else value)
    if not text:
        raise ValueError("no file has an empty name")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"whose home directory {quoted(text)} means is not known") from None


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - the one that pydantic takes
    return value


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
JumpPolicyName = Annotated[
    Literal["first", "fastest", "spread"], Expected("first, fastest or spread")
]
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
Workers = Annotated[int, Field(ge=1, le=1024), Expected("a whole number from 1 to 1024", "NUMBER")]
Secret = Annotated[SecretStr | None, Expected("text")]
Auth = Annotated[SecretStr | None, Expected("user:password", "USER:PASSWORD")]
Switch = Annotated[bool, Expected("true or false")]
EarlyDataMode = Annotated[Literal["never", "known", "always"], Expected("never, known or always")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], Expected("debug, info, warning or error")
]
LogFormat = Annotated[
    Literal["auto", "rich", "plain", "json"], Expected("auto, rich, plain or json")
]
