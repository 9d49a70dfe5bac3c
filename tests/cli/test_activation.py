"""Socket activation (sd_listen_fds(3)): real sockets, passed to the real commands."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import programs
from netjumper.cli import notify
from netjumper.net import inherited
from programs import PATIENCE, Program, running

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
    executable = str(Path(sys.executable).parent / command[0])
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
    (told,) = program.lines
    assert told.startswith(f"{command[0]}: ")
    return told.partition(": ")[2]


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def target():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE)
        yield made


def connected(listener):
    sock = socket.socket(listener.family)
    sock.settimeout(PATIENCE)
    sock.connect(listener.getsockname())
    return sock


def socks4(target):
    host, port = target.getsockname()
    return b"\4\1" + port.to_bytes(2) + socket.inet_aton(host) + b"\0"


def goes_through(client, target):
    """Whether what was asked for is a tunnel to the target."""
    far, _ = target.accept()
    with far:
        assert client.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
        client.sendall(b"ping")
        return far.recv(4) == b"ping"


# Sockets that become doors.


def test_who_connected_before_the_bridge_ran_is_served(listener, target):
    with connected(listener) as early:
        early.sendall(socks4(target))
        with activated(EMBEDDED, listener, names="socks") as bridge:
            assert goes_through(early, target)
            early.close()
            with connected(listener) as later:
                later.sendall(socks4(target))
                assert goes_through(later, target)
            port = listener.getsockname()[1]
            assert bridge.address("SOCKS") == f"127.0.0.1:{port}"
            assert bridge.stop() == 0


def test_who_connected_before_the_server_ran_is_greeted(listener):
    with connected(listener) as early, activated(SERVER, listener, names="whatever") as server:
        assert early.recv(1) == b"\x20"  # the challenge's length
        server.wait_for("listening for netjumper on 127")
        assert server.stop() == 0


def test_who_connects_while_nobody_runs_is_served_by_the_next(listener, target):
    with activated(EMBEDDED, listener, names="socks") as first:
        first.address("SOCKS")
        assert first.stop() == 0
    with connected(listener) as between:
        between.sendall(socks4(target))
        with activated(EMBEDDED, listener, names="socks"):
            assert goes_through(between, target)


def test_who_came_in_just_before_the_end_may_still_ask(listener, target):
    with activated(EMBEDDED, listener, names="socks") as bridge, connected(listener) as client:
        client.sendall(b"\5\1\0")
        assert client.recv(2) == b"\5\0"  # it was accepted
        bridge.process.terminate()
        bridge.wait_for("stopping: 0 tunnels open")
        host, port = target.getsockname()
        client.sendall(b"\5\1\0\1" + socket.inet_aton(host) + port.to_bytes(2))
        far, _ = target.accept()
        with far:
            assert client.recv(10, socket.MSG_WAITALL)[:2] == b"\5\0"
            client.sendall(b"ping")
            assert far.recv(4) == b"ping"
        client.close()
        assert bridge.process.wait(PATIENCE) == 0


def test_each_socket_speaks_what_its_name_says(listener, target):
    with (
        socket.create_server(("127.0.0.1", 0)) as http,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as mixed,
        activated(EMBEDDED, listener, http, mixed, names="socks:http:mixed") as bridge,
    ):
        assert bridge.address("HTTP").endswith(f":{http.getsockname()[1]}")
        assert bridge.address("SOCKS and HTTP") == f"[::1]:{mixed.getsockname()[1]}"
        with connected(http) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 400"
        for door in (listener, mixed):
            with connected(door) as client:
                client.sendall(socks4(target))
                assert goes_through(client, target)


def test_addresses_of_the_settings_are_not_opened_beside_them(listener):
    with activated([*EMBEDDED, "--http", "127.0.0.1:0"], listener, names="socks") as bridge:
        bridge.wait_for("WARNING --http: not used, as the service manager opens the sockets")
        bridge.wait_for("INFO the service manager opened the sockets")
        bridge.wait_for("through a jump server in this process")
        assert sum("listening for" in line for line in bridge.lines) == 1


def test_addresses_that_nobody_gave_are_no_warning(listener):
    with activated(SERVER, listener) as server:
        server.wait_for("listening for netjumper on 127")
        assert not [line for line in server.lines if "WARNING" in line]


def test_the_servers_own_address_is_not_opened_beside_them(listener):
    with activated([*SERVER, "--listen", "127.0.0.1:0"], listener) as server:
        server.wait_for("WARNING --listen: not used, as the service manager opens the sockets")
        server.wait_for("try: netjumper-bridge")
        assert sum("listening for" in line for line in server.lines) == 1


def test_a_unix_sockets_file_is_left_to_who_made_it(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen()
        with activated(SERVER, made) as server, connected(made) as client:
            assert client.recv(1) == b"\x20"
            server.wait_for(f"listening for netjumper on unix:{path}$")
            assert server.stop() == 0
    assert path.is_socket()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's own")
def test_a_unix_socket_without_a_file_is_a_door_too():
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"\0netjumper-{os.getpid()}")
        made.listen()
        with activated(SERVER, made) as server, connected(made) as client:
            assert client.recv(1) == b"\x20"
            server.wait_for(f"listening for netjumper on unix:@netjumper-{os.getpid()}$")
            assert server.stop() == 0


# Closed by default.


def test_a_socket_that_other_machines_reach_needs_a_password():
    with socket.create_server(("0.0.0.0", 0)) as made:
        port = made.getsockname()[1]
        told = refusal(EMBEDDED, made, names="http")
        assert told == (
            f"the inherited socket http: other machines can use 0.0.0.0:{port}; listen on "
            "127.0.0.1, or ask for a password (--auth-file FILE, NETJUMPER_AUTH)"
        )
        with activated(EMBEDDED, made, names="http", NETJUMPER_AUTH="me:pass") as bridge:
            assert bridge.address("HTTP") == f"0.0.0.0:{port}"


# What is no door.


@contextlib.contextmanager
def no_doors():
    """Give a datagram socket and a connection, as Accept=yes would pass it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        one, other = socket.socketpair()
        with one, other:
            yield datagrams, one


@pytest.mark.parametrize("command", [EMBEDDED, SERVER])
def test_what_does_not_listen_for_streams_is_refused(command):
    with no_doors() as (datagrams, connection):
        assert refusal(command, datagrams, names="socks") == (
            "the inherited socket 'socks' is no stream socket; give it ListenStream="
        )
        assert refusal(command, connection, names="socks") == (
            "the inherited socket 'socks' does not listen; give it Accept=no"
        )


@pytest.mark.parametrize(("names", "shown"), [("sock\n", r"'sock\n'"), (None, "'unknown'")])
def test_a_name_that_is_none_of_the_bridges_doors_is_refused(listener, names, shown):
    assert refusal(EMBEDDED, listener, names=names) == (
        f"the inherited socket {shown} is no door of the bridge; "
        "write FileDescriptorName= with socks, http or mixed"
    )
    assert refusal([*EMBEDDED, "--check"], listener, names=names).startswith("the inherited socket")


def test_a_wrong_count_is_refused(listener):
    assert refusal(SERVER, listener, LISTEN_FDS="one") == (
        "LISTEN_FDS: expected how many sockets there are, not 'one'"
    )


def taken_over(code, *files, **more):
    """Run Python where these files were passed on; it has what they were taken for as `found`."""
    take = (
        "import os\nfrom netjumper.net.inherited import InheritError, inherited_sockets\n"
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


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"LISTEN_FDS": "0"}, "LISTEN_FDS: expected how many sockets there are, not '0'"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS: expected how many sockets there are, not '-1'"),
        ({"LISTEN_FDS": "2"}, "LISTEN_FDS says 2 sockets, but descriptor 4 is not open"),
        (
            {"LISTEN_FDS": "999999999999"},
            "LISTEN_FDS says 999999999 sockets, but descriptor 4 is not open",
        ),
        (
            {"LISTEN_FDNAMES": "socks:http"},
            "LISTEN_FDNAMES has 2 names, but LISTEN_FDS says 1 sockets",
        ),
    ],
)
def test_variables_that_contradict_the_descriptors_are_refused(listener, variables, told):
    assert taken_over("print(found)", listener, **variables) == told


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path):
    with (tmp_path / "file").open("w") as file:
        told = taken_over("print(found)", file)
    assert told == "LISTEN_FDS says 1 sockets, but descriptor 3 is no socket"


def test_an_inherited_socket_has_the_options_of_our_own(listener):
    look = (
        "import socket; (_, sock), = found\n"
        "print(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)\n"
        "print(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0)"
    )
    assert taken_over(look, listener).split() == ["True", "True"]


# Whom the variables are for.


def test_what_was_meant_for_another_process_is_not_touched(listener):
    command = [*SERVER, "--listen", "127.0.0.1:0"]
    with activated(command, listener, LISTEN_PID="1") as server:
        port = listener.getsockname()[1]
        assert server.address("netjumper") != f"127.0.0.1:{port}"
        assert not [line for line in server.lines if "service manager" in line]


def test_no_child_inherits_the_sockets_or_hears_of_them(listener):
    look = (
        "(name, sock), = found\n"
        "told = [it for it in os.environ if 'LISTEN' in it]\n"
        "print(name, os.get_inheritable(3), sock.getblocking(), told)"
    )
    assert taken_over(look, listener, names="name") == "name False False []"


def test_a_program_under_exec_hears_nothing_of_the_service_manager():
    names = [*inherited.VARIABLES, *notify.VARIABLES]
    look = "import os; print([it for it in os.environ if re.match('LISTEN|NOTIFY|WATCHDOG', it)])"
    bridge = str(Path(sys.executable).parent / EMBEDDED[0])
    command = [bridge, "exec", "--embedded", "--", sys.executable, "-c", f"import re; {look}"]
    done = programs.run(command, dict.fromkeys(names, "1"))
    assert done.stdout == b"[]\n", done.stderr
