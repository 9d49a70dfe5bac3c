"""Prefixes of NAT64 gateways, and the IPv4 addresses behind them (RFC 6052)."""

import ipaddress

import pytest

from netjumper.addressing.nat64 import ipv4_inside, parse_prefix
from netjumper.errors import AddressError


@pytest.mark.parametrize(
    ("prefix", "address"),
    [  # RFC 6052 section 2.4
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ],
)
def test_address_behind_a_prefix_is_the_embedded_one(prefix: str, address: str) -> None:
    length = parse_prefix(prefix).prefixlen
    assert str(ipv4_inside(ipaddress.IPv6Address(address), length)) == "192.0.2.33"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("192.0.2.0/24", "'192.0.2.0/24' is not an IPv6 network"),
        ("64:ff9b::1/96", "'64:ff9b::1/96' is not an IPv6 network"),
        ("2001:db8::/33", "the length of a NAT64 prefix is one of 32, 40, 48, 56, 64, 96"),
    ],
)
def test_invalid_prefix_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=message):
        parse_prefix(text)
