"""This machine's addresses and networks, as the kernel reports them in a network of its own."""

import ipaddress
import os
import socket
import subprocess
import sys

import pytest

from netjumper.net import own_networks
from netjumper.net.own_networks import OwnNetworks, attached
from tests.support.namespaces import call_in_namespace

linux = pytest.mark.skipif(sys.platform != "linux", reason="rtnetlink is Linux's")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def texts(networks: OwnNetworks) -> set[str]:
    return {f"{network} {what}" for network, what in networks()}


def read_addresses() -> None:
    networks = OwnNetworks()
    ip("address", "add", "203.0.113.5/28", "dev", "lo")
    ip("address", "add", "2001:db8:1::5/64", "dev", "lo", "nodad")
    ip("address", "add", "2001:db8:2::5/128", "dev", "lo", "nodad")
    ip("address", "add", "198.51.100.1", "peer", "198.51.100.2/32", "dev", "lo")
    assert texts(networks) >= {
        "203.0.113.5/32 this machine",
        "203.0.113.0/28 a network of this machine",
        "2001:db8:1::5/128 this machine",
        "2001:db8:1::/64 a network of this machine",
        "2001:db8:2::/64 a network of this machine",
        "198.51.100.1/32 this machine",
        "198.51.100.2/32 a network of this machine",
    }
    networks.close()


def notice_changes() -> None:
    networks = OwnNetworks()
    assert "203.0.113.5/32 this machine" not in texts(networks)
    ip("address", "add", "203.0.113.5/28", "dev", "lo")
    assert "203.0.113.5/32 this machine" in texts(networks)
    ip("address", "del", "203.0.113.5/28", "dev", "lo")
    assert "203.0.113.5/32 this machine" not in texts(networks)
    # More reports than the socket can hold.
    lines = [f"address add 10.1.{it // 250}.{it % 250}/32 dev lo\n" for it in range(2000)]
    subprocess.run(["ip", "-batch", "-"], input="".join(lines), text=True, check=True)
    assert "10.1.7.249/32 this machine" in texts(networks)
    networks.close()


def read_in_a_child() -> None:
    networks = OwnNetworks()
    networks()
    child = os.fork()
    if child == 0:
        ip("address", "add", "203.0.113.5/28", "dev", "lo")
        os._exit("203.0.113.5/32 this machine" not in texts(networks))
    assert os.waitpid(child, 0)[1] == 0
    assert "203.0.113.5/32 this machine" in texts(networks)
    networks.close()


@linux
@pytest.mark.needs("ip")
@pytest.mark.parametrize("function", [read_addresses, notice_changes, read_in_a_child])
def test_in_a_network_of_its_own(function):
    call_in_namespace(__name__, function.__name__)


@pytest.mark.parametrize(
    ("address", "bits", "network"),
    [
        ("203.0.113.5", 28, "203.0.113.0/28"),
        ("203.0.113.5", 32, "203.0.113.5/32"),
        ("11.0.0.1", 8, "11.0.0.0/8"),
        ("11.0.0.1", 7, None),
        ("11.0.0.1", 0, None),
        ("2001:db8::5", 64, "2001:db8::/64"),
        ("2001:db8::5", 56, "2001:db8::/56"),
        ("2001:db8::5", 128, "2001:db8::/64"),
    ],
)
def test_attached_network_follows_from_the_prefix(address, bits, network):
    expected = network and ipaddress.ip_network(network)
    assert attached(ipaddress.ip_address(address), bits) == expected


@linux
def test_networks_that_cannot_be_read_cause_one_warning(monkeypatch, caplog):
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(own_networks, "_open", refuse)
    networks = OwnNetworks()
    for _ in range(2):
        assert texts(networks) == {"127.0.0.0/8 this machine"}
    message = "the networks of this machine cannot be read: [Errno 1] Operation not permitted"
    assert caplog.messages == [message]


@linux
def test_unchanged_networks_are_not_read_again(monkeypatch):
    networks = OwnNetworks()
    first = networks()
    monkeypatch.setattr(own_networks, "_read", pytest.fail)
    assert networks() is first
    networks.close()
