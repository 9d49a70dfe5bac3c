"""Run `netjumper-bridge doctor` while services run in the test's event loop."""

import asyncio
import json
from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.cli import bridge
from tests.support.services import SECRET

STEPS = ["name", "connect", "challenge", "secret", "target", "throughput"]


async def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command in a thread; return the exit status and the output."""
    code = await asyncio.to_thread(bridge.main, ["doctor", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    assert SECRET.decode() not in out
    return code, out


async def doctor_report(
    capsys: pytest.CaptureFixture[str], jump: Address | str, *arguments: str
) -> tuple[int, dict[str, Any]]:
    """Run the command with `--json`; return the exit status and the report."""
    code, out = await doctor(capsys, "--json", "--jump", str(jump), *arguments)
    message = json.loads(out)
    assert message["exit_code"] == code
    assert message["ok"] is (code == 0)
    assert [step["step"] for step in message["steps"]] == STEPS[: len(message["steps"])]
    assert all(step["seconds"] >= 0 for step in message["steps"])
    return code, message
