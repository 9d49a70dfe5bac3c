"""What a setting's field declares besides its type and default: everything that is made of it.

The flags (`netjumper.cli.arguments`), the reference `docs/settings.md` and the list of what a
jump server can reload are made of these declarations; `config.example.toml` is checked against
them.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic.fields import FieldInfo

PREFIX = "NETJUMPER_"
"""What the names of all variables begin with."""


class Command(StrEnum):
    """The commands that take settings."""

    SERVER = "netjumper"
    SHARE = "netjumper share"
    SERVER_HEALTHCHECK = "netjumper healthcheck"
    BRIDGE = "netjumper-bridge"
    EXEC = "netjumper-bridge exec"
    ENV = "netjumper-bridge env"
    BRIDGE_HEALTHCHECK = "netjumper-bridge healthcheck"
    DOCTOR = "netjumper-bridge doctor"


class Group(StrEnum):
    """The groups of flags, by their titles, in the order of the help."""

    JUMP_SERVER = "jump server"
    LISTENING = "listening"
    AUTHENTICATION = "authentication"
    TLS = "TLS (docs/encryption.md)"
    TARGETS = "targets (docs/access-rules.md)"
    LIMITS = "limits (docs/clients.md)"
    PARKING = "parked connections"
    EARLY_DATA = "early data"
    TIMEOUTS = "timeouts"
    PROCESSES = "processes"
    SOCKETS = "sockets (docs/sockets.md)"
    LOGGING = "logging"


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one setting.

    Attributes:
        group: where its flag stands in the help.
        help: what it does, in one line without a full stop.
        also: the sub-commands that have its flag, besides the command itself.
        default: the default in words, if it depends on other settings.
        has_flag: whether it can be given on the command line.
        reloadable: whether a jump server takes a changed value on SIGHUP.
    """

    group: Group
    help: str
    also: tuple[Command, ...] = ()
    default: str = ""
    has_flag: bool = True
    reloadable: bool = False


def option_of(info: FieldInfo) -> Option:
    """Return the declaration of a setting."""
    return next(it for it in info.metadata if isinstance(it, Option))


def default_of(info: FieldInfo) -> str:
    """Return the default of a setting for people; empty if it is nothing."""
    value = info.default
    if text := option_of(info).default:
        return text
    if value is None or value is False or value in ("", ()):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def flag(key: str, value: object = None) -> str:
    """Return the name of a setting's flag; that of a switch which is off if `value` is false."""
    return ("--no-" if value is False else "--") + key.replace("_", "-")


def variable(key: str) -> str:
    """Return the name of a setting's variable."""
    return PREFIX + key.upper()
