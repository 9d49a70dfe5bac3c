"""netjumper: a tunnel through a jump server, for programs on a bad long-distance path."""

from netjumper.addressing.address import Address
from netjumper.client.jumper import Jumper
from netjumper.errors import (
    AddressError,
    HostUnreachable,
    InvalidTarget,
    JumpHostError,
    JumpHostProtocolError,
    JumpHostTimeout,
    JumpHostUnreachable,
    JumpHostUntrusted,
    NameLookupFailed,
    NameNotFound,
    NetjumperError,
    NetworkUnreachable,
    OutOfResources,
    TargetDenied,
    TargetError,
    TargetRefused,
    TargetTimeout,
    WrongSecret,
)

__version__ = "0.1.0"

__all__ = [
    "Address",
    "AddressError",
    "HostUnreachable",
    "InvalidTarget",
    "JumpHostError",
    "JumpHostProtocolError",
    "JumpHostTimeout",
    "JumpHostUnreachable",
    "JumpHostUntrusted",
    "Jumper",
    "NameLookupFailed",
    "NameNotFound",
    "NetjumperError",
    "NetworkUnreachable",
    "OutOfResources",
    "TargetDenied",
    "TargetError",
    "TargetRefused",
    "TargetTimeout",
    "WrongSecret",
]
