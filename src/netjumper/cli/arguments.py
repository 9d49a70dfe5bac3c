"""Flags: made of the settings' declarations, and read back as a source of settings.

There is no `--secret`: every user of a machine can read the command line of a process.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from netjumper.addressing.jump_url import JumpUrl
from netjumper.cli.help_formatter import HelpFormatter
from netjumper.cli.output import print_line
from netjumper.errors import AddressError, SettingsError
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.common import CommonSettings
from netjumper.settings.messages import did_you_mean, expectation
from netjumper.settings.option import Command, Group, default_of, flag, option_of
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine
from netjumper.text import alternatives, quoted
from netjumper.version import __version__


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line each, and repeat nothing that may be a secret.

    Args:
        prog: the command's name.
        description: what the command does.
        epilog: examples and where settings come from (`netjumper.cli.help_formatter`).
        usage: the usage line, if the command takes more than options.
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
        self.add_argument("-h", "--help", action="help", help="print this help and exit")

    def takes_value(self, word: str) -> bool:
        """Return whether the word after this one is the value of this option."""
        action = self._option_string_actions.get(word)
        return action is not None and action.nargs is None

    def error(self, message: str) -> NoReturn:
        """Report a mistake in the command line.

        Raises:
            SettingsError: always; it is one line.
        """
        raise SettingsError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def parse_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> argparse.Namespace:
        """Read a command line.

        Raises:
            SettingsError: the command does not take it.
        """
        known, rest = self.parse_known_intermixed_args(args, namespace)
        if rest:
            self._refuse(rest)
        return known

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002
        # Only help and version get here. argparse lets a failed write through as a traceback if
        # the text is longer than the stream's buffer.
        print_line(message.removesuffix("\n"))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # The words of argparse differ between versions of Python, and from those for settings.
        if action.choices is not None and value not in action.choices:
            words = [str(it) for it in action.choices]
            similar = did_you_mean(str(value), set(words))
            message = f"expected {alternatives(words)}, not {quoted(str(value))}{similar}"
            raise argparse.ArgumentError(action, message)

    def _refuse(self, rest: Sequence[str]) -> NoReturn:
        option = next((word for word in rest if word.startswith("-")), "")
        name = option.partition("=")[0] if option.startswith("--") else option[:2]
        if name == "--secret":
            self.error(
                "there is no --secret, since every user of this machine could read it; "
                "use NETJUMPER_SECRET or --secret-file FILE"
            )
        if name:
            self.error(f"unknown option {quoted(name)}{self._hint(name)}")
        hint = ""
        if "--jump" in self._option_string_actions and is_jump_host(rest[0]):
            hint = "; give --jump once for each jump host"
        self.error(f"too many arguments{hint}")

    def _hint(self, name: str) -> str:
        """Return the end of a message about an unknown option: what else takes it, or a typo."""
        program = self.prog.partition(" ")[0]
        models: list[type[CommonSettings]] = [ServerSettings, BridgeSettings]
        for model in sorted(models, key=lambda it: it.command != program):
            flags = {flag(key) for key, it in model.model_fields.items() if option_of(it).has_flag}
            if name in flags:
                return f"; it is an option of {model.command}"
        known = self._option_string_actions.keys()
        if not name.startswith("--"):
            return f"; did you mean {name.swapcase()}?" if name.swapcase() in known else ""
        words = {it.removeprefix("--") for it in known if it.startswith("--")}
        return did_you_mean(name.removeprefix("--"), words, "--")


def is_jump_host(word: str) -> bool:
    """Whether a word can be a value of --jump. It may have a secret in it."""
    try:
        JumpUrl.parse(word)
    except AddressError:
        return False
    return True


def add_settings(
    parser: Parser,
    model: type[CommonSettings],
    titles: Mapping[Group, str] | None = None,
    helps: Mapping[str, str] | None = None,
) -> None:
    """Add the flags of the settings that a command takes, in groups.

    Args:
        parser: the command's; its name decides which settings these are.
        model: all settings of the program.
        titles: titles of groups, if they differ in this command.
        helps: texts of settings by key, if they mean something else in this command.
    """
    command = Command(parser.prog)
    options = {key: option_of(info) for key, info in model.model_fields.items()}
    for group in Group:
        keys = [
            key
            for key, it in options.items()
            if it.group is group and it.has_flag and command in (model.command, *it.also)
        ]
        if keys:
            added = parser.add_argument_group((titles or {}).get(group, group))
            for key in keys:
                _add_flag(added, model, key, (helps or {}).get(key, ""))


def _add_flag(
    group: argparse._ArgumentGroup, model: type[CommonSettings], key: str, text: str
) -> None:
    info = model.model_fields[key]
    expected = expectation(info)
    kind: dict[str, Any] = {"metavar": expected.metavar}
    if info.annotation is bool:
        kind = {"action": argparse.BooleanOptionalAction}
    elif isinstance(info.default, tuple):
        kind["action"] = "append"
    elif expected.choices:
        kind = {"choices": expected.choices, "type": str.lower}
    default = default_of(info)
    about = option_of(info).help + (f" (default: {default})" if default else "")
    group.add_argument(flag(key), dest=key, help=(text or about).replace("%", "%%"), **kind)


def add_config(parser: Parser) -> argparse._ArgumentGroup:
    """Add the flag that names the settings file, and return its group."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config", metavar="FILE", help="read this settings file instead of the usual ones"
    )
    return group


def add_config_check_version(parser: Parser) -> None:
    """Add the flags of a service that are not settings."""
    group = add_config(parser)
    group.add_argument(
        "--check", action="store_true", help="check the settings, print those given, and exit"
    )
    group.add_argument(
        "-V",
        "--version",
        action="version",
        version=f"%(prog)s {__version__}",
        help="print the version and exit",
    )


def command_line_of(arguments: argparse.Namespace, model: type[CommonSettings]) -> CommandLine:
    """Return the settings that a command line gave."""
    given = CommandLine(config=getattr(arguments, "config", None))
    for key, value in vars(arguments).items():
        if key in model.model_fields:
            given.give(key, value, flag(key, value))
    return given


SETTINGS_HELP = """\
where settings come from:
  Each setting is a flag, an environment variable and a key in the table [{table}] of the settings
  file: for example --dial-timeout, NETJUMPER_DIAL_TIMEOUT and dial_timeout. Flags win over the
  environment, which wins over the file. The file is --config, else NETJUMPER_CONFIG, else
  ~/.config/netjumper/config.toml (under XDG_CONFIG_HOME if that is set), else
  /etc/netjumper/config.toml. There is no --secret, since every user of the machine could read it:
  use NETJUMPER_SECRET or --secret-file. docs/settings.md lists all settings.
"""
