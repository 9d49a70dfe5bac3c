"""The guard's rules: how they are written, and what they are about."""

import ipaddress

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.target_rules import Rule
from netjumper.errors import AddressError

ALL = "all targets are * in deny, and 0.0.0.0/0 and ::/0 in allow"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("*", "*"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.0/24:443", "192.0.2.0/24:443"),
        ("192.0.2.0/24:80-443", "192.0.2.0/24:80-443"),
        ("2001:db8::1", "[2001:db8::1]/128"),
        ("2001:db8::/32", "[2001:db8::]/32"),
        ("[2001:db8::1]", "[2001:db8::1]/128"),
        ("[2001:db8::1]:22", "[2001:db8::1]/128:22"),
        ("[2001:db8::]/32:22-23", "[2001:db8::]/32:22-23"),
        ("example.org", "example.org"),
        ("Example.ORG.", "example.org"),
        ("all.", "all."),
        (".example.org", ".example.org"),
        ("bücher.example:443", "xn--bcher-kva.example:443"),
        (":25", ":25"),
        ("*:25", ":25"),
        (":1-65535", "*"),
    ],
)
def test_a_rule_is_read_and_written(text, meaning):
    assert str(Rule.parse(text)) == meaning
    assert Rule.parse(meaning) == Rule.parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the rule is empty"),
        ("192.0.2.1/24", "'192.0.2.1/24' is an address within a network; write 192.0.2.0/24"),
        ("192.0.2.0/33", "'192.0.2.0/33' is neither an address nor a network"),
        ("127.1", "'127.1' is neither an address nor a network"),
        ("0x7f000001", "'0x7f000001' is neither an address nor a network"),
        ("2130706433", "'2130706433' is neither an address nor a network"),
        ("127.1.", "'127.1.' is neither an address nor a host name"),
        (
            "\uff11\uff12\uff17.1.",
            "'\\uff11\\uff12\\uff17.1.' is neither an address nor a host name",
        ),
        ("127.\uff11", "'127.\\uff11' is neither an address nor a host name"),
        ("fe80::1%eth0", "'fe80::1%eth0': a rule is about all zones; leave it out"),
        ("fe80::1%]:8", "'fe80::1%]:8': a rule is about all zones; leave it out"),
        ("2001:db8::/32:443", "'2001:db8::/32:443' is neither an address nor a network"),
        ("[2001:db8::1", "'[2001:db8::1': write [IPV6]:PORT or [IPV6]/LENGTH:PORT"),
        ("[192.0.2.1]:80", "'[192.0.2.1]:80': write [IPV6]:PORT or [IPV6]/LENGTH:PORT"),
        (
            "*.example.org",
            "'*.example.org' is not a host name; .example.org is it and all below it",
        ),
        ("a b", "'a b' is not a host name"),
        ("all", f"'all' would be a host of that name; {ALL}"),
        ("Any:443", f"'Any' would be a host of that name; {ALL}"),
        (
            "http://example.org",
            "'http://example.org': write a host, a network or a port without http://",
        ),
        (".", "'' is not a host name"),
        ("example.org:", "'example.org:' has no port behind the colon"),
        ("example.org:0", "'example.org:0': write a port from 1 to 65535, or FIRST-LAST"),
        (":443-80", "':443-80': write a port from 1 to 65535, or FIRST-LAST"),
        (":https", "':https': write a port from 1 to 65535, or FIRST-LAST"),
        (":65536", "':65536': write a port from 1 to 65535, or FIRST-LAST"),
        ("\x1b[2J", "'\\x1b[2J' is not a host name"),
    ],
)
def test_invalid_rule_is_reported(text, problem):
    with pytest.raises(AddressError) as caught:
        Rule.parse(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("rule", "host", "port", "is_about"),
    [
        ("example.org", "example.org", 1, True),
        ("example.org", "EXAMPLE.org.", 1, True),
        ("example.org", "www.example.org", 1, False),
        ("example.org", "anexample.org", 1, False),
        (".example.org", "example.org", 1, True),
        (".example.org", "a.b.Example.org", 1, True),
        (".example.org", "anexample.org", 1, False),
        ("example.org:443", "example.org", 443, True),
        ("example.org:443", "example.org", 444, False),
        (":443", "192.0.2.1", 443, True),
        (":443", "192.0.2.1", 444, False),
        ("*", "whatever", 1, True),
        ("192.0.2.1", "192.0.2.1", 1, False),
        (".example.org", "fe80::1%x.example.org", 1, False),
        ("*", "fe80::1%eth0", 1, True),
    ],
)
def test_a_rule_with_a_name_is_about_targets_as_they_are_named(rule, host, port, is_about):
    assert Rule.parse(rule).matches_name(Address(host, port)) is is_about


@pytest.mark.parametrize(
    ("rule", "ip", "port", "is_about"),
    [
        ("192.0.2.0/24", "192.0.2.255", 1, True),
        ("192.0.2.0/24", "192.0.3.0", 1, False),
        ("192.0.2.0/24:443", "192.0.2.1", 443, True),
        ("192.0.2.0/24:443", "192.0.2.1", 80, False),
        ("192.0.2.0/24", "::ffff:192.0.2.1", 1, False),
        ("[2001:db8::]/32", "2001:db8:1::", 1, True),
        ("::/0", "192.0.2.1", 1, False),
        ("*", "192.0.2.1", 1, False),
        ("example.org", "192.0.2.1", 1, False),
    ],
)
def test_a_rule_with_a_network_is_about_addresses(rule, ip, port, is_about):
    assert Rule.parse(rule).matches_address(ipaddress.ip_address(ip), port) is is_about
