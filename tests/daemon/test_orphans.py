"""As the first process of a container, the commands reap orphans."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.namespaces import first_process_command
from tests.support.programs import SECRET, TIMEOUT_S, installed, running

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="process namespaces are Linux's"),
    pytest.mark.needs("unshare", "nsenter"),
]
SERVICES = {
    "one process": ["netjumper", "--listen", "127.0.0.1:0"],
    "workers": ["netjumper", "--listen", "127.0.0.1:0", "--workers", "2"],
    "bridge": ["netjumper-bridge", "--embedded", "--mixed", "127.0.0.1:0"],
}
WAIT_FOR_NO_ZOMBIE = """
(sleep 0.1 &)
tries=0
sleep 0.3
while grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do
  tries=$((tries + 1)); [ $tries -lt 100 ] || exit 9
  sleep 0.1
done
exit 7
"""


def children(pid: int) -> dict[int, str]:
    """Return the states of the children of a process, by their ids."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        status = Path(f"/proc/{child}/status").read_text()
        found[int(child)] = status.partition("State:\t")[2][0]
    return found


def until(condition) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("command", SERVICES.values(), ids=SERVICES)
def test_orphans_of_a_service_are_reaped(command):
    name, *arguments = command
    words = [*first_process_command(), installed(name), *arguments]
    with running(*words, env={"NETJUMPER_SECRET": SECRET}) as it:
        it.wait_for("listening for")
        (first,) = children(it.process.pid)
        own = children(first).keys()
        enter = ["nsenter", f"--target={first}", "--user", "--pid", "--preserve-credentials"]
        subprocess.run([*enter, "sh", "-c", "(cat /dev/fd/0 >/dev/null &) <&0"], check=True)
        until(lambda: not children(first).keys() - own)
        assert it.process.poll() is None


def test_orphans_of_exec_are_reaped_and_its_exit_code_is_kept():
    command = ["netjumper-bridge", "exec", "--embedded", "--", "sh", "-c", WAIT_FOR_NO_ZOMBIE]
    words = [*first_process_command(), installed(command[0]), *command[1:]]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (7, b"")
