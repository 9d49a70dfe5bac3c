"""The settings file.

The first byte says which command reads it (0: the jump server, otherwise the bridge).
"""

import tempfile
from functools import cache
from pathlib import Path

from fuzz.settings import environment, hold_settings
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine


def check(data: bytes) -> None:
    """Hold the properties for one input."""
    path = _file()
    path.write_bytes(data[1:])
    text = data[1:].decode("utf-8", "replace")
    with environment({}):
        if data[:1] > b"\0":
            hold_settings(lambda: load(BridgeSettings, CommandLine(config=str(path))), text)
        else:
            hold_settings(lambda: load(ServerSettings, CommandLine(config=str(path))), text)


@cache
def _file() -> Path:
    """Return a file that only we can read."""
    path = Path(tempfile.mkdtemp(prefix="netjumper-fuzz-")) / "config.toml"
    path.touch(0o600)
    return path
