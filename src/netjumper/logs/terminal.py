"""What a person sees on a terminal: the panel at the start and coloured log lines.

The only module that imports rich. It renders to text; whoever calls writes it. Nothing from
outside is ever read as rich's markup: all text is put into `Text` objects.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from netjumper.access_log import AccessRecord
from netjumper.addressing.listeners import LISTENERS
from netjumper.text import human_size, printable

_LEVEL_STYLES = {
    logging.DEBUG: "dim",
    logging.INFO: "green",
    logging.WARNING: "yellow",
    logging.ERROR: "bold red",
    logging.CRITICAL: "bold red",
}


class RichFormatter(logging.Formatter):
    """Coloured lines: the time, the level where it is not the usual one, the text.

    Args:
        stream: the terminal that is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the panel at the start, escape sequences included."""
        if isinstance(record.msg, StartSummary):
            return record.msg.panel(self)
        line = Text.assemble((time.strftime("%H:%M:%S ", time.localtime(record.created)), "dim"))
        if isinstance(record.msg, AccessRecord):
            line.append_text(_access_line(record.msg))
        else:
            style = _LEVEL_STYLES.get(record.levelno, "")
            if record.levelno != logging.INFO:
                line.append(f"{record.levelname.lower()} ", style)
            line.append(printable(record.getMessage()))
        if record.exc_info:
            for text in self.formatException(record.exc_info).splitlines():
                line.append(f"\n  | {printable(text)}", "dim")
        return self.render(line)

    def render(self, *parts: RenderableType) -> str:
        """Return the parts as they are to be written, without the last newline.

        Lines are never broken, so that what is pasted is what was printed.
        """
        with self._console.capture() as capture:
            for part in parts:
                self._console.print(part, soft_wrap=isinstance(part, Text))
        return capture.get().removesuffix("\n")


def _access_line(end: AccessRecord) -> Text:
    who = f"{end.peer} ({end.client})" if end.client else end.peer
    return Text.assemble(
        (printable(who), "cyan"),
        " -> ",
        (printable(end.target) or "?", "bold"),
        f"  up {human_size(end.bytes_up)}  down {human_size(end.bytes_down)}",
        f"  {end.seconds:.2f} s  ",
        (printable(end.ending), "red" if end.failed else "green"),
    )


@dataclass(frozen=True, slots=True)
class StartSummary:
    """What there is to tell when a command has begun to listen.

    Attributes:
        title: the command and its version.
        listening: each listening socket as (name of its door, address).
        route: one line about the way the tunnels take, empty where there is none to tell.
        paste: lines to type next, each a command of a shell.
    """

    title: str
    listening: Sequence[tuple[str, str]]
    route: str
    paste: Sequence[str]

    def lines(self) -> list[str]:
        """Return it as lines of a log."""
        told = [
            f"listening for {LISTENERS[name].label} on {address}"
            for name, address in self.listening
        ]
        return [*told, *([self.route] if self.route else []), *(f"try: {it}" for it in self.paste)]

    def panel(self, formatter: RichFormatter) -> str:
        """Return it for a terminal. What is to be pasted stands outside of the frame."""
        grid = Table.grid(padding=(0, 2))
        for name, address in self.listening:
            grid.add_row(Text(LISTENERS[name].label), Text(printable(address), "bold cyan"))
        inside = Table.grid()
        inside.add_row(grid)
        if self.route:
            inside.add_row(Text(printable(self.route)))
        panel = Panel(inside, title=Text(self.title), title_align="left", expand=False)
        paste = [Text(f"  {line}", "green") for line in self.paste]
        return formatter.render(panel, *paste)
