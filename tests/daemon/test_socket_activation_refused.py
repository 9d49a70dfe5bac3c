"""Inherited sockets that a command refuses, and the reason that it prints."""

import contextlib
import socket

import pytest

from tests.support.systemd import EMBEDDED, SERVER, activated, refusal, run_inheriting


def test_inherited_socket_reachable_by_others_requires_a_password():
    with socket.create_server(("0.0.0.0", 0)) as made:
        port = made.getsockname()[1]
        message = refusal(EMBEDDED, made, names="http")
        assert message == (
            f"inherited socket http: 0.0.0.0:{port} is reachable from other machines; bind "
            "127.0.0.1 or set --auth-file FILE or NETJUMPER_AUTH"
        )
        with activated(EMBEDDED, made, names="http", NETJUMPER_AUTH="me:pass") as bridge:
            assert bridge.address("HTTP") == f"0.0.0.0:{port}"


@contextlib.contextmanager
def unsuitable_sockets():
    """Yield a datagram socket and, as with Accept=yes, a connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        one, other = socket.socketpair()
        with one, other:
            yield datagrams, one


@pytest.mark.parametrize("command", [EMBEDDED, SERVER])
def test_socket_that_is_not_a_stream_listener_is_refused(command):
    with unsuitable_sockets() as (datagrams, connection):
        assert refusal(command, datagrams, names="socks") == (
            "inherited socket 'socks' is not a stream socket; use ListenStream="
        )
        assert refusal(command, connection, names="socks") == (
            "inherited socket 'socks' does not listen; use Accept=no"
        )


@pytest.mark.parametrize(("names", "shown"), [("sock\n", r"'sock\n'"), (None, "'unknown'")])
def test_unknown_listener_name_is_refused(listener, names, shown):
    assert refusal(EMBEDDED, listener, names=names) == (
        f"inherited socket {shown} is not a listener of the bridge; "
        "set FileDescriptorName= to socks, http or mixed"
    )
    assert refusal([*EMBEDDED, "--check"], listener, names=names).startswith("inherited socket")


def test_malformed_count_is_refused(listener):
    assert refusal(SERVER, listener, LISTEN_FDS="one") == (
        "LISTEN_FDS: expected the number of sockets, not 'one'"
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LISTEN_FDS": "0"}, "LISTEN_FDS: expected the number of sockets, not '0'"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS: expected the number of sockets, not '-1'"),
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
def test_variables_that_contradict_the_descriptors_are_refused(listener, variables, message):
    assert run_inheriting("print(found)", listener, **variables) == message


def test_inherited_descriptor_that_is_not_a_socket_is_refused(tmp_path):
    with (tmp_path / "file").open("w") as file:
        message = run_inheriting("print(found)", file)
    assert message == "LISTEN_FDS says 1 sockets, but descriptor 3 is not a socket"
