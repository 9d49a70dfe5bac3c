"""The sub-command `completion`: prints the script by which a shell completes a command.

The scripts lie in `completions/`; `make generated` makes them from the parsers.
"""

from collections.abc import Sequence
from importlib.resources import files

from netjumper.cli.arguments import Parser
from netjumper.cli.output import print_line
from netjumper.cli.subcommands import Command
from netjumper.daemon import process

NAME = "completion"
FILE_NAMES = {"bash": "{prog}", "zsh": "_{prog}", "fish": "{prog}.fish"}
"""The shells, and under which name each looks for the script of a command."""
_EXAMPLES = """\
examples:
  {prog} completion bash \\
        > ~/.local/share/bash-completion/completions/{prog}
      for every shell from now on, where bash-completion is installed
  {prog} completion zsh > ~/.zfunc/_{prog}
      with fpath+=~/.zfunc before compinit in ~/.zshrc
  {prog} completion fish \\
        > ~/.config/fish/completions/{prog}.fish

The directory of the file must exist. The same scripts are installed beside the man pages, in
share/bash-completion/completions, share/zsh/site-functions and share/fish/vendor_completions.d.
"""


def completion_command(prog: str) -> Command:
    """Return the sub-command `completion` of a command.

    Args:
        prog: the command's name.
    """

    def parser() -> Parser:
        made = Parser(
            f"{prog} {NAME}",
            f"Prints the script by which a shell completes the commands and options of {prog}.",
            _EXAMPLES.format(prog=prog),
            f"{prog} {NAME} SHELL",
        )
        shells = list(FILE_NAMES)
        made.add_argument("shell", choices=shells, metavar="SHELL", help="bash, zsh or fish")
        return made

    def run(words: Sequence[str]) -> int:
        print_line(_script(parser().parse_args(words).shell, prog).removesuffix("\n"))
        return process.OK

    return Command(NAME, f"print completions for {', '.join(FILE_NAMES)}", parser, run)


def _script(shell: str, prog: str) -> str:
    name = FILE_NAMES[shell].format(prog=prog)
    return files("netjumper.cli").joinpath("completions", shell, name).read_text("utf-8")
