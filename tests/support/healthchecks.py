"""Run `healthcheck` of a command while services run in the test's event loop."""

import asyncio
from types import ModuleType

import pytest

from netjumper.cli import bridge
from tests.support.services import SECRET


async def healthcheck(
    capsys: pytest.CaptureFixture[str], *arguments: str, command: ModuleType = bridge
) -> tuple[int, str]:
    """Run the command in a thread; return the exit status and the only line of output."""
    code = await asyncio.to_thread(command.main, ["healthcheck", *arguments])
    out, err = capsys.readouterr()
    assert (out + err).count("\n") == 1
    assert SECRET.decode() not in out + err
    return code, (out + err).rstrip("\n")
