"""Output for a terminal: the panel at the start, and coloured log lines.

This is the only module that imports rich. It renders to text, which the caller writes. All text
is put into `Text` objects, so rich never reads text from the network as markup.
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
    """Formats a record as a coloured line: the time, the level unless it is INFO, the text.

    Args:
        stream: the terminal, for its width and colours.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the panel at the start, with escape sequences."""
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
        """Return the parts as text with escape sequences, without the last newline.

        Lines are not wrapped, so that a command which is copied from them is complete.
        """
        with self._console.capture() as capture:
            for part in parts:
                self._console.print(part, soft_wrap=isinstance(part, Text))
        return capture.get().removesuffix("\n")


def _access_line(end: AccessRecord) -> Text:
    source = f"{end.peer} ({end.client})" if end.client else end.peer
    return Text.assemble(
        (printable(source), "cyan"),
        " -> ",
        (printable(end.target) or "?", "bold"),
        f"  up {human_size(end.bytes_up)}  down {human_size(end.bytes_down)}",
        f"  {end.seconds:.2f} s  ",
        (printable(end.ending), "red" if end.failed else "green"),
    )


@dataclass(frozen=True, slots=True)
class StartSummary:
    """The messages of a command that has begun to listen.

    Attributes:
        title: the command and its version.
        listening: each listening socket as (name of its listener, address).
        route: one line about the path of the tunnels; can be empty.
        paste: shell commands to try next, one a line.
        long_path: one line about the connections between bridge and jump server; can be empty.
        file: the settings file; empty if there is none.
    """

    title: str
    listening: Sequence[tuple[str, str]]
    route: str
    paste: Sequence[str]
    long_path: str = ""
    file: str = ""

    def lines(self) -> list[str]:
        """Return the messages as lines for a log."""
        listeners = [
            f"listening for {LISTENERS[name].label} on {address}"
            for name, address in self.listening
        ]
        return [*listeners, *self._about(), *(f"try: {it}" for it in self.paste)]

    def _about(self) -> list[str]:
        file = f"settings file: {self.file}" if self.file else ""
        return [it for it in (self.route, self.long_path, file) if it]

    def panel(self, formatter: RichFormatter) -> str:
        """Return the messages for a terminal; commands to copy are below the frame."""
        grid = Table.grid(padding=(0, 2))
        for name, address in self.listening:
            grid.add_row(Text(LISTENERS[name].label), Text(printable(address), "bold cyan"))
        inside = Table.grid()
        inside.add_row(grid)
        for line in self._about():
            inside.add_row(Text(printable(line)))
        panel = Panel(inside, title=Text(self.title), title_align="left", expand=False)
        paste = [Text(f"  {line}", "green") for line in self.paste]
        return formatter.render(panel, *paste)
