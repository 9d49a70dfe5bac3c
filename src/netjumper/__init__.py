"""netjumper: a tunnel through a jump server, for programs on a bad long-distance path.

The public API is what `__all__` names, and the modules `netjumper.integrations.aiohttp`, `httpx`,
`requests` and `urllib3`. All other modules and packages, which `help` lists too, are internal: they
can change in any release.
"""

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
    TooManyTunnels,
    WrongSecret,
)
from netjumper.tls.certificates import EncryptionError
from netjumper.tls.context import Encryption
from netjumper.version import __version__ as __version__

__all__ = [
    "Address",
    "AddressError",
    "Encryption",
    "EncryptionError",
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
    "TooManyTunnels",
    "WrongSecret",
]
