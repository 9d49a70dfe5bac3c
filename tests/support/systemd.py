"""What a service manager does: it passes sockets on (sd_listen_fds(3)) and hears (sd_notify(3))."""

import contextlib
import re
import socket
import subprocess
import sys

from tests.support import programs
from tests.support.programs import PATIENCE, Program, installed, running

SECRET = {"NETJUMPER_SECRET": "s3cret"}
EMBEDDED = ["netjumper-bridge", "--embedded"]
SERVER = ["netjumper"]

# What a service manager does between fork and exec.
PASS_ON = """
import os, sys
fds, *command = sys.argv[1:]
# First out of the way: one may have another's number.
held = [os.dup2(int(fd), 50 + number) for number, fd in enumerate(fds.split(","))]
for number, fd in enumerate(held, 3):
    os.dup2(fd, number)
os.closerange(3 + len(held), 100)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(command[0], command)
"""


def passing(command, *sockets, names=None, **variables):
    """Return the command line, and what else `running` needs, to start it with these sockets."""
    fds = [sock.fileno() for sock in sockets]
    env = {**SECRET, "LISTEN_FDS": str(len(fds)), **variables}
    if names is not None:
        env["LISTEN_FDNAMES"] = names
    executable = installed(command[0])
    line = [sys.executable, "-c", PASS_ON, ",".join(map(str, fds)), executable, *command[1:]]
    return line, {"env": env, "pass_fds": fds}


def activated(command, *sockets, **more):
    line, options = passing(command, *sockets, **more)
    return running(*line, **options)


def refusal(command, *sockets, **more):
    """Run a command that cannot start with these sockets; return the one line that it says."""
    line, options = passing(command, *sockets, **more)
    program = Program(*line, **options)
    try:
        assert program.process.wait(PATIENCE) == 2
    finally:
        program.close()
    (message,) = program.lines
    assert message.startswith(f"{command[0]}: ")
    return message.partition(": ")[2]


def taken_over(code, *files, **more):
    """Run Python where these files were passed on; it has what they were taken for as `found`."""
    take = (
        "import os\n"
        "from netjumper.daemon.socket_activation import InheritError, inherited_sockets\n"
        "try: found = inherited_sockets(os.environ)\nexcept InheritError as error: found = error\n"
    )
    line, options = passing([sys.executable, "-c", take + code], *files, **more)
    env = {**programs.clean_environment(), **options["env"]}
    done = subprocess.run(
        line,
        env=env,
        pass_fds=options["pass_fds"],
        capture_output=True,
        timeout=PATIENCE,
        text=True,
    )
    return done.stdout.removesuffix("\n") or done.stderr


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(PATIENCE)
        self.sock.bind(address)
        self.environ = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def hears(self):
        """Return the next message, as its lines."""
        return self.sock.recv(4096).decode().split("\n")

    def hears_until(self, pattern):
        """Return the messages up to the one with a line that matches."""
        messages = [self.hears()]
        while not any(re.fullmatch(pattern, line) for line in messages[-1]):
            messages.append(self.hears())
        return messages

    def rest(self):
        """Return what has come and was not heard yet."""
        self.sock.setblocking(False)
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self.hears())
        return messages
