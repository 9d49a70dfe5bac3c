"""Options that cannot be had here are told before there is any traffic, and what would do."""

import sys

import pytest

from netjumper.net import option_checks
from netjumper.net.option_checks import OptionUnavailable, check_dialling, check_listening
from netjumper.net.socket_options import SocketOptions
from tests.support.namespaces import run_in_namespace, run_unprivileged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux' options")


def problem(check, **options):
    """Return which option cannot be had, and why."""
    with pytest.raises(OptionUnavailable) as caught:
        check(SocketOptions(**options))
    return caught.value.key, str(caught.value)


def unprivileged(**options):
    """Return why it cannot be had without privileges."""
    return run_unprivileged(
        f"try: check_dialling(SocketOptions(**{options!r}))\n"
        "except OptionUnavailable as error: print(error)"
    )


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Return what says what the kernel says."""
    monkeypatch.setattr(option_checks, "_KERNEL", tmp_path)
    return lambda name, text: (tmp_path / name).write_text(f"{text}\n")


def test_default_options_are_accepted():
    for check in (check_listening, check_dialling):
        check(SocketOptions())
        check(SocketOptions(congestion_control="reno", defer_accept=True))
    check_dialling(SocketOptions(interface="lo", source=("127.0.0.1", "::1")))


@pytest.mark.parametrize("check", [check_listening, check_dialling])
@pytest.mark.parametrize("name", ["nonsense", "x" * 300])
def test_unknown_congestion_control_is_reported_with_the_available_ones(check, name, kernel):
    kernel("tcp_available_congestion_control", "reno cubic")
    key, message = problem(check, congestion_control=name)
    assert key == "congestion_control"
    assert message.startswith("this kernel has no congestion control '")
    assert message.endswith(", only reno cubic")


def test_privileged_congestion_control_is_reported_with_the_allowed_ones():
    with option_checks._KERNEL.joinpath("tcp_allowed_congestion_control").open() as file:
        allowed = file.read().strip()
    available = (option_checks._KERNEL / "tcp_available_congestion_control").read_text().split()
    refused = set(available) - set(allowed.split())
    if not refused:
        pytest.skip("every user may choose every congestion control here")
    message = unprivileged(congestion_control=min(refused))
    assert message.startswith(f"'{min(refused)}' needs the privilege CAP_NET_ADMIN")
    assert f"without it there are {allowed} (" in message


def test_a_mark_needs_a_privilege():
    assert unprivileged(mark=7) == "it needs the privilege CAP_NET_ADMIN"


def test_privileged_process_can_set_a_mark():
    assert run_in_namespace("check_dialling(SocketOptions(mark=7))") == ""


def test_unknown_interface_is_reported_with_the_existing_ones():
    key, message = problem(check_dialling, interface="nonsense0")
    assert key == "interface"
    assert message.startswith("unknown interface 'nonsense0'; this machine has ")
    assert "lo" in message


def test_source_address_of_another_machine_is_reported():
    message = problem(check_dialling, source=("127.0.0.1", "2001:db8::1"))
    assert message == ("source", "2001:db8::1: this machine does not have that address")


@pytest.mark.parametrize(
    ("check", "allowed", "needed"),
    [
        (check_dialling, 0, 1),
        (check_dialling, 2, 3),
        (check_listening, 0, 2),
        (check_listening, 1, 3),
    ],
)
def test_disabled_fast_open_is_reported_with_the_setting_to_enable_it(
    check, allowed, needed, kernel
):
    kernel("tcp_fastopen", allowed)
    key, message = problem(check, fast_open=True)
    assert key == "fast_open"
    assert f"net.ipv4.tcp_fastopen is {allowed}" in message
    assert f"(sysctl -w net.ipv4.tcp_fastopen={needed})" in message


def test_enabled_fast_open_is_accepted(kernel):
    for allowed in (3, 0x403):
        kernel("tcp_fastopen", allowed)
        check_dialling(SocketOptions(fast_open=True))
        check_listening(SocketOptions(fast_open=True))


def test_missing_mptcp_is_reported():
    code = """
with contextlib.suppress(OSError):
    Path("/proc/sys/net/mptcp/enabled").write_text("0")
try: check_listening(SocketOptions(mptcp=True))
except OptionUnavailable as error: print(error.key, error)
"""
    assert run_in_namespace(code) == "mptcp this kernel has none, or net.mptcp.enabled is 0"


@pytest.mark.parametrize(
    "option",
    [
        {"fast_open": True},
        {"mptcp": True},
        {"mark": 1},
        {"interface": "lo"},
        {"defer_accept": True},
    ],
)
def test_options_are_unavailable_on_other_systems(option, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert problem(check_listening, **option) == (*option, "only Linux has it")


def test_missing_choice_of_congestion_control_is_reported(monkeypatch):
    monkeypatch.delattr("socket.TCP_CONGESTION")
    message = problem(check_dialling, congestion_control="bbr")
    assert message == ("congestion_control", "it cannot be chosen on this system")
