"""Flags: made out of the settings' keys, read into a layer of settings.

There is no `--secret`: the command line of a process can be read by every user of a machine.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from netjumper import __version__
from netjumper.addressing.listen_address import ListenAddress
from netjumper.cli.help_formatter import HelpFormatter
from netjumper.errors import SettingsError
from netjumper.settings.loader import AnySettings, Source
from netjumper.settings.messages import expectation
from netjumper.text import quoted

_IN_ARGV = {"auth": "; every user of this machine can read it here, so better give --auth-file"}
_TIMEOUTS = (
    "handshake_timeout",
    "parked_timeout",
    "dial_timeout",
    "jump_timeout",
    "idle_timeout",
    "grace_period",
)
_TLS = ("certificate_file", "ca_file", "client_ca_file")
_SOCKETS = (
    "peer_timeout",
    "congestion_control",
    "fast_open",
    "mptcp",
    "mark",
    "interface",
    "source",
)
_CHOICES = {
    "jump_policy": ("first", "fastest", "spread"),
    "early_data": ("never", "known", "always"),
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("auto", "rich", "plain", "json"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and repeat nothing that might be a secret.

    Args:
        prog: the command's name.
        description: what it is.
        epilog: examples and where settings come from (`netjumper.cli.help_formatter`).
        usage: where it takes more than options.
    """

    def __init__(self, prog: str, description: str, epilog: str, usage: str | None = None) -> None:
        super().__init__(
            prog,
            usage=usage or f"{prog} [options]",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            add_help=False,
            argument_default=argparse.SUPPRESS,
            formatter_class=HelpFormatter,
        )
        self._positionals.title = "arguments"
        self.add_argument("-h", "--help", action="help", help="print this help and stop")

    def error(self, message: str) -> NoReturn:
        """Raise the one line.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(f"{message} (see {self.prog} --help)")

    def parse_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> argparse.Namespace:
        """Read a command line.

        Raises:
            SettingsError: it is not one of this command.
        """
        known, rest = self.parse_known_intermixed_args(args, namespace)
        if rest:
            self._refuse(rest)
        return known

    def _refuse(self, rest: Sequence[str]) -> NoReturn:
        option = next((word for word in rest if word.startswith("-")), "")
        name = option.partition("=")[0] if option.startswith("--") else option[:2]
        if name == "--secret":
            self.error(
                "there is no --secret, as every user of this machine could read it; "
                "use NETJUMPER_SECRET or --secret-file FILE"
            )
        self.error(f"unknown option {quoted(name)}" if name else "there are too many arguments")


class Flags:
    """Adds the flags of one command, and reads back what they were given.

    Args:
        parser: the command's.
        model: its settings.
    """

    def __init__(self, parser: argparse.ArgumentParser, model: AnySettings) -> None:
        self.parser = parser
        self.model = model

    def group(self, title: str, *keys: str, **helps: str) -> None:
        """Add a group of flags, one for each key.

        Args:
            title: stands over them.
            *keys: those whose help is their description.
            **helps: other keys, each with its help, where it means something else here.
        """
        group = self.parser.add_argument_group(title)
        for key in (*keys, *helps):
            info = self.model.model_fields[key]
            more: dict[str, Any] = {"metavar": expectation(info).metavar}
            if info.annotation is bool:
                more = {"action": argparse.BooleanOptionalAction}
            elif isinstance(info.default, tuple):
                more["action"] = "append"
            elif key in _CHOICES:
                more = {"choices": _CHOICES[key]}
            about = f"{info.description}{_IN_ARGV.get(key, '')}{_default(info.default)}"
            group.add_argument(flag(key), dest=key, help=helps.get(key, about), **more)

    def timeouts(self) -> None:
        """Add every timeout that the command has."""
        self._those_it_has("timeouts", _TIMEOUTS)

    def _those_it_has(self, title: str, keys: Sequence[str]) -> None:
        self.group(title, *(key for key in keys if key in self.model.model_fields))

    def tls(self) -> None:
        """Add what certificates there are."""
        self._those_it_has("TLS (docs/security.md)", _TLS)

    def workers(self) -> None:
        """Add how many processes there are."""
        self.group("processes", "workers")

    def sockets(self, *keys: str) -> None:
        """Add the options of sockets that both commands have, and others."""
        self.group("sockets (docs/sockets.md)", *_SOCKETS, *keys)

    def common(self) -> None:
        """Add what both commands have."""
        self.group("logging", "log_level", "log_format")
        group = self.config()
        group.add_argument("--check", action="store_true", help="check the settings and stop")
        group.add_argument(
            "--version",
            action="version",
            version=f"%(prog)s {__version__}",
            help="print the version and stop",
        )

    def config(self) -> argparse._ArgumentGroup:
        """Add the flag that names the settings file, and return its group."""
        group = self.parser.add_argument_group("settings")
        group.add_argument(
            "--config", metavar="FILE", help="the settings file, instead of one that is looked for"
        )
        return group


def flag(key: str) -> str:
    """Return the flag of a key."""
    return "--" + key.replace("_", "-")


def source_of_flags(arguments: argparse.Namespace, model: AnySettings) -> Source:
    """Return the settings that a command line gave."""
    layer = Source()
    for key, value in vars(arguments).items():
        if key in model.model_fields:
            layer.give(key, value, flag(key))
    return layer


def _default(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(str(item) for item in value if isinstance(item, ListenAddress))
    if value is None or value is False or value == "":
        return ""
    return f" (default: {value:g})" if isinstance(value, float) else f" (default: {value})"


PLACES = """\
where settings come from:
  A setting is a flag, a variable and a key in the table [{table}] of the settings file: such as
  --dial-timeout, NETJUMPER_DIAL_TIMEOUT and dial_timeout. Flags win over the environment, which
  wins over the file. The file is --config, else NETJUMPER_CONFIG, else
  ~/.config/netjumper/config.toml (under XDG_CONFIG_HOME where that is set), else
  /etc/netjumper/config.toml. There is no --secret, as every user of the machine could read it:
  use NETJUMPER_SECRET or --secret-file.
"""
