"""The guard: what is refused by default, what opens it, and every disguise of an address."""

import ipaddress

import pytest

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import Rule
from netjumper.errors import NameNotFound, TargetDenied, TargetError
from netjumper.server.guard import Guard
from netjumper.server.special_addresses import METADATA_ADDRESSES

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"]


def guard(allow: str = "", deny: str = "") -> Guard:
    return Guard(map(Rule.parse, allow.split()), map(Rule.parse, deny.split()))


def refusal(it: Guard, ip: str, host: str = "", port: int = 443) -> str:
    """Return why an address is refused, for a target of that name; empty if it is not.

    It is what the log says, without the rule that would open the address.
    """
    target = Address(host or ip, port)
    try:
        it.check_target(target)
        it.check_address(target, ip)
    except TargetError as error:
        return error.detail.partition(";")[0]
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
    "::ffff:0:0:0/96": "IPv4 inside IPv6",
    "64:ff9b:1::/48": "IPv4 inside IPv6 (NAT64)",
    "2001::/32": "IPv4 inside IPv6 (Teredo)",
    "2002::/16": "IPv4 inside IPv6 (6to4)",
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_refused_from_its_first_to_its_last_address(network):
    whole = ipaddress.ip_network(network)
    last = whole.broadcast_address
    assert refusal(guard(), str(last)) == f"{NETWORKS[network]} ({last})"
    assert refusal(guard(), str(whole.network_address)) != ""
    for beyond in (int(whole.network_address) - 1, int(last) + 1):
        neighbours = [ipaddress.ip_network(it) for it in NETWORKS]
        kind = ipaddress.IPv4Address if whole.version == 4 else ipaddress.IPv6Address
        if 0 <= beyond < 2**whole.max_prefixlen and not any(
            kind(beyond) in it for it in neighbours
        ):
            assert refusal(guard(), str(kind(beyond))) == ""


def test_client_learns_neither_the_address_nor_the_rule():
    with pytest.raises(TargetDenied) as caught:
        guard().check_address(Address("192.168.1.5", 445), "192.168.1.5")
    assert str(caught.value) == "dial tcp 192.168.1.5:445: refused by a rule, not permitted"
    detail = "a private network (192.168.1.5); --allow 192.168.1.5 opens it"
    assert caught.value.detail == detail


@pytest.mark.parametrize("rules", [("", ""), ("", "192.168.0.0/16"), ("nas.example", "*")])
def test_name_with_a_local_address_does_not_exist_for_the_client(rules):
    with pytest.raises(NameNotFound) as caught:
        guard(*rules).check_address(Address("nas.example", 445), "192.168.1.5")
    assert str(caught.value) == str(dial_errors.name_not_found("nas.example"))
    assert "192.168.1.5" in caught.value.detail


@pytest.mark.parametrize("name", ["nas", "nas.lan", "NAS.Fritz.Home.", "a.home.arpa", "localhost"])
def test_local_name_is_refused_before_the_look_up(name):
    target = Address(name, 445)
    for it in (guard(), guard(".lan .home nas localhost :25"), guard("192.168.1.0/24:80")):
        with pytest.raises(TargetDenied) as caught:
            it.check_target(target)
        assert str(caught.value) == f"dial tcp {target}: refused by a rule, not permitted"
        assert caught.value.detail == "a name of the local network; --allow NETWORK opens it"
    guard("192.168.1.0/24:445").check_target(target)


@pytest.mark.parametrize("name", ["lan.example", "example.org.", "xlan.example", "127.1", "0x7f"])
def test_other_names_are_looked_up(name):
    guard().check_target(Address(name, 445))


def test_an_address_with_a_zone_is_refused():
    assert "link-local" in refusal(guard(), "fe80::1%eth0")


@pytest.mark.parametrize("ip", sorted(METADATA_ADDRESSES))
@pytest.mark.parametrize("opens", [False, True])
def test_only_its_exact_address_opens_cloud_metadata(ip, opens):
    everything = "0.0.0.0/0 ::/0"
    it = guard(f"{everything} {ip}" if opens else everything)
    expected = "" if opens else f"cloud metadata ({ipaddress.ip_address(ip)})"
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
    assert refusal(it, "192.168.1.1") == "denied by 192.168.1.1/32 (192.168.1.1)"
    assert refusal(it, "8.8.8.8", "www.example.org") == "denied by .example.org"
    assert refusal(it, "8.8.8.8", "WWW.Example.Org.") == "denied by .example.org"
    assert refusal(it, "8.8.8.8", "example.net") == ""
    assert refusal(it, "1.1.1.1", port=80) == "denied by 1.0.0.0/8:80 (1.1.1.1)"
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
        ("8.8.8.8", "www.example.net", 80, "no rule allows it"),
        ("1.2.3.4", "anything.example", 80, ""),
        ("1.2.4.4", "anything.example", 80, "no rule allows it"),
        ("10.0.0.1", "example.org", 1, "a private network (10.0.0.1)"),
    ],
)
def test_with_everything_denied_only_allowed_targets_pass(ip, host, port, reason):
    assert refusal(guard("example.org .example.net:443 1.2.3.0/24", "*"), ip, host, port) == reason


def test_mail_needs_a_rule_with_its_port():
    assert refusal(guard(), "8.8.8.8", port=25) == "port 25"
    assert refusal(guard("8.8.8.8 mail.example"), "8.8.8.8", "mail.example", 25) != ""
    assert refusal(guard(":25"), "8.8.8.8", port=25) == ""
    assert refusal(guard("mail.example:25"), "8.8.8.8", "mail.example", 25) == ""
    assert refusal(guard("mail.example:25"), "8.8.8.8", "other.example", 25) != ""
    assert refusal(guard("8.8.0.0/16:20-30"), "8.8.8.8", "mail.example", 25) == ""
    assert refusal(guard("8.8.0.0/16:25"), "9.9.9.9", "mail.example", 25) != ""


OWN = [
    (ipaddress.ip_network("203.0.113.5"), "this machine"),
    (ipaddress.ip_network("203.0.113.0/28"), "a network of this machine"),
    (ipaddress.ip_network("2001:db8:1::/64"), "a network of this machine"),
]


def test_name_with_an_address_of_an_own_network_does_not_exist_for_clients():
    it = Guard(own_networks=lambda: OWN)
    with pytest.raises(NameNotFound) as caught:
        it.check_address(Address("nas.example.org", 443), "203.0.113.6")
    assert str(caught.value) == str(dial_errors.name_not_found("nas.example.org"))


def test_own_addresses_and_networks_are_refused_unless_a_rule_opens_them():
    it = Guard(own_networks=lambda: OWN)
    assert refusal(it, "203.0.113.5") == "this machine (203.0.113.5)"
    assert refusal(it, "203.0.113.6") == "a network of this machine (203.0.113.6)"
    assert refusal(it, "64:ff9b::203.0.113.6") == "a network of this machine (203.0.113.6)"
    assert refusal(it, "2001:db8:1::7") == "a network of this machine (2001:db8:1::7)"
    assert refusal(it, "203.0.113.16") == ""
    opened = Guard([Rule.parse("203.0.113.6:443")], own_networks=lambda: OWN)
    assert refusal(opened, "203.0.113.6") == ""
    assert refusal(opened, "203.0.113.6", port=22) != ""
    assert refusal(opened, "203.0.113.5") != ""


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
    assert refusal(guard(opened), ip) == f"a private network ({inside})"
    assert refusal(guard(f"{opened} 192.168.0.0/16"), ip) == ""
    assert refusal(guard(f"{opened} 192.168.0.0/16", inside), ip) != ""


@pytest.mark.parametrize("ip", ["::", "::1"])
def test_unspecified_and_loopback_address_contain_no_ipv4_address(ip):
    assert refusal(guard(ip), ip) == ""
    assert refusal(guard("0.0.0.0/8"), ip) == f"this machine ({ip})"


@pytest.mark.parametrize("ip", ["64:ff9b::5db8:d822", "::ffff:93.184.216.34"])
def test_public_ipv4_address_in_ipv6_form_is_open(ip):
    assert refusal(guard(), ip) == ""
    assert refusal(guard(deny="93.184.216.34"), ip) != ""
    assert refusal(guard(deny="::/0"), ip) != ""
    assert refusal(guard("93.184.216.0/24", "*"), ip) == ""
    assert refusal(guard("1.0.0.0/8", "*"), ip) == "no rule allows it"


@pytest.mark.parametrize("ip", ["64:ff9b::7f00:1", "::ffff:127.0.0.1"])
def test_rule_for_an_ipv4_network_opens_its_addresses_in_ipv6_form(ip):
    assert refusal(guard(), ip) == "this machine (127.0.0.1)"
    assert refusal(guard("::/0"), ip) == "this machine (127.0.0.1)"
    assert refusal(guard("127.0.0.0/8"), ip) == ""


NAT64_FORMS = {  # RFC 6052 section 2.4
    "2001:db8::/32": "2001:db8:c000:221::",
    "2001:db8:100::/40": "2001:db8:1c0:2:21::",
    "2001:db8:122::/48": "2001:db8:122:c000:2:2100::",
    "2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
    "2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
    "2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
}


@pytest.mark.parametrize("prefix", NAT64_FORMS)
def test_own_nat64_prefix_is_judged_by_the_address_inside(prefix):
    nat64 = [ipaddress.IPv6Network(prefix)]
    it = Guard([], [Rule.parse("192.0.2.33")], nat64=nat64)
    assert refusal(it, NAT64_FORMS[prefix]) == "denied by 192.0.2.33/32 (192.0.2.33)"
    assert refusal(Guard(nat64=nat64), NAT64_FORMS[prefix]) == ""


def test_local_use_nat64_prefix_is_open_if_it_is_configured():
    assert refusal(guard(), "64:ff9b:1::8.8.8.8") == "IPv4 inside IPv6 (NAT64) (64:ff9b:1::808:808)"
    it = Guard(nat64=[ipaddress.IPv6Network("64:ff9b:1::/96")])
    assert refusal(it, "64:ff9b:1::8.8.8.8") == ""
    assert refusal(it, "64:ff9b:1::192.168.1.1") == "a private network (192.168.1.1)"


def test_a_public_ipv4_address_inside_an_open_ipv6_network_passes():
    assert refusal(guard("64:ff9b::/96"), "64:ff9b::8.8.8.8") == ""
    assert refusal(guard("64:ff9b::/96", "8.8.8.8"), "64:ff9b::8.8.8.8") != ""


def test_cloud_metadata_inside_ipv6_is_refused():
    opened = "0.0.0.0/0 ::/0"
    assert "metadata" in refusal(guard(opened), "64:ff9b::169.254.169.254")
    assert "metadata" in refusal(guard(opened), "::ffff:169.254.169.254")
