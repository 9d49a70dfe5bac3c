"""The settings file.

The first byte selects the command (0: the jump server, otherwise the bridge).
"""

import tempfile
from functools import cache
from pathlib import Path

from fuzz.settings import assert_settings, environment
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    path = _file()
    path.write_bytes(data[1:])
    text = data[1:].decode("utf-8", "replace")
    with environment({}):
        if data[:1] > b"\0":
            assert_settings(lambda: load(BridgeSettings, CommandLine(config=str(path))), text)
        else:
            assert_settings(lambda: load(ServerSettings, CommandLine(config=str(path))), text)


@cache
def _file() -> Path:
    """Return a file that only its owner can read."""
    path = Path(tempfile.mkdtemp(prefix="netjumper-fuzz-")) / "config.toml"
    path.touch(0o600)
    return path
