"""A service manager: passes sockets (sd_listen_fds(3)) and receives messages (sd_notify(3))."""

import contextlib
import re
import socket
import subprocess
import sys

from tests.support import programs
from tests.support.programs import TIMEOUT_S, Program, installed, running

SECRET = {"NETJUMPER_SECRET": "s3cret-of-18-bytes"}
EMBEDDED = ["netjumper-bridge", "--embedded"]
SERVER = ["netjumper"]

# The code that a service manager runs between fork and exec.
PASS_SOCKETS = """
import os, sys
fds, *command = sys.argv[1:]
# Copy all first: the target number of one can be the number of another.
copies = [os.dup2(int(fd), 50 + number) for number, fd in enumerate(fds.split(","))]
for number, fd in enumerate(copies, 3):
    os.dup2(fd, number)
os.closerange(3 + len(copies), 100)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(command[0], command)
"""


def activation_of(command, *sockets, names=None, **variables):
    """Return the command line that passes sockets to a command, and the options of `running`."""
    fds = [sock.fileno() for sock in sockets]
    env = {**SECRET, "LISTEN_FDS": str(len(fds)), **variables}
    if names is not None:
        env["LISTEN_FDNAMES"] = names
    executable = installed(command[0])
    line = [sys.executable, "-c", PASS_SOCKETS, ",".join(map(str, fds)), executable, *command[1:]]
    return line, {"env": env, "pass_fds": fds}


def activated(command, *sockets, **more):
    """Run a command with inherited sockets."""
    line, options = activation_of(command, *sockets, **more)
    return running(*line, **options)


def refusal(command, *sockets, **more):
    """Run a command that refuses inherited sockets; return its only line, without the name."""
    line, options = activation_of(command, *sockets, **more)
    program = Program(*line, **options)
    try:
        assert program.process.wait(TIMEOUT_S) == 2
    finally:
        program.close()
    (message,) = program.lines
    assert message.startswith(f"{command[0]}: ")
    return message.partition(": ")[2]


def run_inheriting(code, *files, **more):
    """Run Python code with inherited files; `found` is the result of `inherited_sockets`."""
    inherit = (
        "import os\n"
        "from netjumper.daemon.socket_activation import InheritError, inherited_sockets\n"
        "try: found = inherited_sockets(os.environ)\nexcept InheritError as error: found = error\n"
    )
    line, options = activation_of([sys.executable, "-c", inherit + code], *files, **more)
    env = {**programs.clean_environment(), **options["env"]}
    done = subprocess.run(
        line,
        env=env,
        pass_fds=options["pass_fds"],
        capture_output=True,
        timeout=TIMEOUT_S,
        text=True,
    )
    return done.stdout.removesuffix("\n") or done.stderr


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.bind(address)
        self.environ = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def receive(self):
        """Return the lines of the next message."""
        return self.sock.recv(4096).decode().split("\n")

    def receive_until(self, pattern):
        """Return the messages up to the one with a line that matches."""
        messages = [self.receive()]
        while not any(re.fullmatch(pattern, line) for line in messages[-1]):
            messages.append(self.receive())
        return messages

    def receive_all(self):
        """Return the messages that have arrived."""
        self.sock.setblocking(False)
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self.receive())
        return messages
