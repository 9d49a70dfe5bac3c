"""Detection of changes of the machine's network."""

import errno
import socket
import time

import pytest

from netjumper.bridge.upstream import route_monitor as route_monitor_module
from netjumper.bridge.upstream.route_monitor import (
    CHECK_INTERVAL_S,
    MIN_SUSPEND_S,
    RouteMonitor,
    source_address,
)
from netjumper.net.listener import is_local_address

FOREIGN_ADDRESS = "198.51.100.1"
PEER = ("198.51.100.1", 9527)
PEER6 = ("2001:db8::9527", 9527, 0, 0)


def test_own_addresses_are_recognised():
    assert is_local_address("127.0.0.1")
    assert not is_local_address(FOREIGN_ADDRESS)


def test_any_address_may_be_own_without_free_descriptors(monkeypatch):
    def no_socket(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_socket)
    assert is_local_address(FOREIGN_ADDRESS)


class Machine:
    """The machine's source addresses and suspend time."""

    def __init__(self) -> None:
        self.source = "192.0.2.1"
        self.source6 = "2001:db8::1"
        self.suspended = 100.0
        self.looks = 0

    def source_address(self, peer: tuple[str | int, ...]) -> str:
        assert peer in (PEER, PEER6)
        self.looks += 1
        return self.source if peer == PEER else self.source6


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(route_monitor_module, "source_address", machine.source_address)
    monkeypatch.setattr(route_monitor_module, "_suspend_time", lambda: machine.suspended)
    return machine


def test_first_check_reports_no_change(machine):
    network = RouteMonitor()
    assert not network.has_changed(PEER, 1.0)
    assert not network.has_changed(PEER, 1.0 + CHECK_INTERVAL_S)


def test_changed_source_address_is_reported_once(machine):
    network = RouteMonitor()
    network.has_changed(PEER, 1.0)
    machine.source = "192.0.2.2"
    assert network.has_changed(PEER, 3.0)
    assert not network.has_changed(PEER, 5.0)


def test_other_address_family_is_not_a_change(machine):
    network = RouteMonitor()
    for now, peer in enumerate((PEER, PEER6, PEER, PEER6), start=1):
        assert not network.has_changed(peer, 2.0 * now)
    machine.source6 = "2001:db8::2"
    assert not network.has_changed(PEER, 20.0)
    assert network.has_changed(PEER6, 22.0)


def test_missing_route_is_not_a_change_until_there_is_another(machine):
    network = RouteMonitor()
    network.has_changed(PEER, 1.0)
    machine.source = ""
    assert not network.has_changed(PEER, 3.0)
    machine.source = "192.0.2.1"
    assert not network.has_changed(PEER, 5.0)
    machine.source = ""
    assert not network.has_changed(PEER, 7.0)
    machine.source = "192.0.2.2"
    assert network.has_changed(PEER, 9.0)


def test_suspend_counts_as_a_change(machine):
    network = RouteMonitor()
    machine.suspended += MIN_SUSPEND_S + 0.1
    assert network.has_changed(PEER, 1.0)
    assert not network.has_changed(PEER, 3.0)
    machine.suspended += MIN_SUSPEND_S / 2  # clocks drift
    assert not network.has_changed(PEER, 5.0)


def test_checks_happen_at_most_once_a_second(machine):
    network = RouteMonitor()
    network.has_changed(PEER, 1.0)
    machine.source = "192.0.2.2"
    assert not network.has_changed(PEER, 1.0 + CHECK_INTERVAL_S / 2)
    assert machine.looks == 1
    assert network.has_changed(PEER, 1.0 + CHECK_INTERVAL_S)


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (("127.0.0.1", 9527), "127.0.0.1"),
        (("::1", 9527, 0, 0), "::1"),
        (("no address", 9527), ""),
    ],
)
def test_source_address_is_found(peer, source):
    assert source_address(peer) == source


def test_running_machine_reports_no_suspend():
    suspended = route_monitor_module._suspend_time()
    assert suspended >= -0.001
    assert abs(route_monitor_module._suspend_time() - suspended) < 0.5


def test_suspend_time_is_zero_without_its_clock(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert route_monitor_module._suspend_time() == 0.0
