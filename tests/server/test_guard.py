"""The guard: what is refused by default, what opens it, and every disguise of an address."""

import ipaddress

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import Rule
from netjumper.errors import TargetDenied
from netjumper.server.guard import METADATA_ADDRESSES, Guard

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"]


def guard(allow: str = "", deny: str = "") -> Guard:
    return Guard(map(Rule.parse, allow.split()), map(Rule.parse, deny.split()))


def refusal(it: Guard, ip: str, host: str = "", port: int = 443) -> str:
    """Return why an address is refused, for a target of that name; empty if it is not."""
    target = Address(host or ip, port)
    try:
        it.check_target(target)
        it.check_address(target, ip)
    except TargetDenied as error:
        return error.reason
    return ""


@pytest.mark.parametrize("ip", PUBLIC)
def test_the_public_internet_is_open(ip):
    assert refusal(guard(), ip) == ""


NETWORKS = {
    "0.0.0.0/8": "this machine",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a provider's own network",
    "127.0.0.0/8": "this machine",
    "169.254.0.0/16": "a link-local network",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "a reserved network",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "a benchmarking network",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "a reserved network",
    "::/128": "this machine",
    "::1/128": "this machine",
    "fc00::/7": "a private network",
    "fe80::/10": "a link-local network",
    "fec0::/10": "a private network",
    "ff00::/8": "multicast",
    "::/96": "IPv4 inside IPv6",
    "::ffff:0:0/96": "IPv4 inside IPv6",
    "::ffff:0:0:0/96": "IPv4 inside IPv6",
    "64:ff9b::/96": "IPv4 inside IPv6 (NAT64)",
    "64:ff9b:1::/48": "IPv4 inside IPv6 (NAT64)",
    "2001::/32": "IPv4 inside IPv6 (Teredo)",
    "2002::/16": "IPv4 inside IPv6 (6to4)",
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_refused_from_its_first_to_its_last_address(network):
    whole = ipaddress.ip_network(network)
    last = whole.broadcast_address
    assert refusal(guard(), str(last)) == f"{NETWORKS[network]} ({last}), not permitted"
    assert refusal(guard(), str(whole.network_address)).endswith(", not permitted")
    for beyond in (int(whole.network_address) - 1, int(last) + 1):
        neighbours = [ipaddress.ip_network(it) for it in NETWORKS]
        kind = ipaddress.IPv4Address if whole.version == 4 else ipaddress.IPv6Address
        if 0 <= beyond < 2**whole.max_prefixlen and not any(
            kind(beyond) in it for it in neighbours
        ):
            assert refusal(guard(), str(kind(beyond))) == ""


def test_a_refusal_names_the_target_and_the_address():
    with pytest.raises(TargetDenied) as caught:
        guard().check_address(Address("nas.example", 445), "192.168.1.5")
    assert str(caught.value) == (
        "dial tcp nas.example:445: a private network (192.168.1.5), not permitted"
    )


def test_an_address_with_a_zone_is_refused():
    assert "link-local" in refusal(guard(), "fe80::1%eth0")


@pytest.mark.parametrize("ip", sorted(METADATA_ADDRESSES))
@pytest.mark.parametrize("opens", [False, True])
def test_only_its_exact_address_opens_cloud_metadata(ip, opens):
    everything = "0.0.0.0/0 ::/0"
    it = guard(f"{everything} {ip}" if opens else everything)
    expected = "" if opens else f"cloud metadata ({ipaddress.ip_address(ip)}), not permitted"
    assert refusal(it, ip) == expected


def test_a_network_opens_what_is_refused_by_default():
    it = guard("192.168.1.0/24 [fd00:1::]/64:22")
    assert refusal(it, "192.168.1.5") == ""
    assert refusal(it, "192.168.1.5", "nas.example") == ""
    assert refusal(it, "192.168.2.5") != ""
    assert refusal(it, "fd00:1::5", port=22) == ""
    assert refusal(it, "fd00:1::5", port=23) != ""


def test_a_name_does_not_open_what_is_refused_by_default():
    it = guard("nas.example :445 .example")
    assert refusal(it, "192.168.1.5", "nas.example", 445) != ""


def test_deny_beats_allow():
    it = guard("192.168.0.0/16", "192.168.1.1 .example.org 1.0.0.0/8:80")
    assert refusal(it, "192.168.1.2") == ""
    assert refusal(it, "192.168.1.1") == "denied by a rule, not permitted"
    assert refusal(it, "8.8.8.8", "www.example.org") == "denied by a rule, not permitted"
    assert refusal(it, "8.8.8.8", "WWW.Example.Org.") == "denied by a rule, not permitted"
    assert refusal(it, "8.8.8.8", "example.net") == ""
    assert refusal(it, "1.1.1.1", port=80) == "denied by a rule, not permitted"
    assert refusal(it, "1.1.1.1", port=81) == ""


def test_a_denied_name_is_refused_before_the_look_up():
    with pytest.raises(TargetDenied):
        guard(deny="example.org").check_target(Address("example.org", 80))
    with pytest.raises(TargetDenied):
        guard("192.0.2.0/24:80", "*").check_target(Address("example.org", 81))


@pytest.mark.parametrize(
    ("ip", "host", "port", "reason"),
    [
        ("8.8.8.8", "example.org", 1, ""),
        ("8.8.8.8", "www.example.net", 443, ""),
        ("8.8.8.8", "www.example.net", 80, "no rule allows it, not permitted"),
        ("1.2.3.4", "anything.example", 80, ""),
        ("1.2.4.4", "anything.example", 80, "no rule allows it, not permitted"),
        ("10.0.0.1", "example.org", 1, "a private network (10.0.0.1), not permitted"),
    ],
)
def test_with_everything_denied_only_allowed_targets_pass(ip, host, port, reason):
    assert refusal(guard("example.org .example.net:443 1.2.3.0/24", "*"), ip, host, port) == reason


def test_mail_needs_a_rule_with_its_port():
    assert refusal(guard(), "8.8.8.8", port=25) == "port 25, not permitted"
    assert refusal(guard("8.8.8.8 mail.example"), "8.8.8.8", "mail.example", 25) != ""
    assert refusal(guard(":25"), "8.8.8.8", port=25) == ""
    assert refusal(guard("mail.example:25"), "8.8.8.8", "mail.example", 25) == ""
    assert refusal(guard("mail.example:25"), "8.8.8.8", "other.example", 25) != ""
    assert refusal(guard("8.8.0.0/16:20-30"), "8.8.8.8", "mail.example", 25) == ""
    assert refusal(guard("8.8.0.0/16:25"), "9.9.9.9", "mail.example", 25) != ""


DISGUISES = {
    "::{0}": "192.168.1.1",
    "::ffff:{0}": "192.168.1.1",
    "::ffff:0:{0}": "192.168.1.1",
    "64:ff9b::{0}": "192.168.1.1",
    "64:ff9b:1::{0}": "192.168.1.1",
    "64:ff9b:1:c0a8:1:100::": "192.168.1.1",
    "64:ff9b:1:c0:a8:101::": "192.168.1.1",
    "64:ff9b:1:0:c0:a801:100:0": "192.168.1.1",
    "2002:c0a8:101::1": "192.168.1.1",
    "2001:0:c0a8:101::f7f7:f7f7": "192.168.1.1",  # its server
    "2001:0:808:808::3f57:fefe": "192.168.1.1",  # its client, all bits turned over
}


@pytest.mark.parametrize("form", DISGUISES)
def test_a_rule_for_an_ipv6_network_does_not_open_the_ipv4_address_inside(form):
    ip, inside = form.format("192.168.1.1"), DISGUISES[form]
    opened = "::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 2001::/32 2002::/16"
    assert refusal(guard(), ip) != ""
    assert refusal(guard(opened), ip) == f"a private network ({inside}), not permitted"
    assert refusal(guard(f"{opened} 192.168.0.0/16"), ip) == ""
    assert refusal(guard(f"{opened} 192.168.0.0/16", inside), ip) != ""


@pytest.mark.parametrize("ip", ["::", "::1"])
def test_unspecified_and_loopback_address_contain_no_ipv4_address(ip):
    assert refusal(guard(ip), ip) == ""
    assert refusal(guard("0.0.0.0/8"), ip) == f"this machine ({ip}), not permitted"


def test_a_public_ipv4_address_inside_an_open_ipv6_network_passes():
    assert refusal(guard("64:ff9b::/96"), "64:ff9b::8.8.8.8") == ""
    assert refusal(guard("64:ff9b::/96", "8.8.8.8"), "64:ff9b::8.8.8.8") != ""


def test_cloud_metadata_inside_ipv6_is_refused():
    opened = "0.0.0.0/0 ::/0"
    assert "metadata" in refusal(guard(opened), "64:ff9b::169.254.169.254")
    assert "metadata" in refusal(guard(opened), "::ffff:169.254.169.254")
