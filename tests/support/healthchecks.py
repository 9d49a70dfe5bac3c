"""Running a command's `healthcheck` beside the services that it asks."""

import asyncio
from types import ModuleType

import pytest

from netjumper.cli import bridge
from tests.support.services import SECRET


async def checked(
    capsys: pytest.CaptureFixture[str], *arguments: str, command: ModuleType = bridge
) -> tuple[int, str]:
    """Run it beside this loop; return the exit code and its one line."""
    code = await asyncio.to_thread(command.main, ["healthcheck", *arguments])
    out, err = capsys.readouterr()
    assert (out + err).count("\n") == 1
    assert SECRET.decode() not in out + err
    return code, (out + err).rstrip("\n")
