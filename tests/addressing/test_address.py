"""Hosts and ports: which are valid."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netjumper.addressing.address import (
    Address,
    checked_host,
    ip_literal,
    parse_port,
    without_ipv4_mapping,
)
from netjumper.addressing.listen_address import ListenAddress
from netjumper.errors import AddressError
from netjumper.text import quoted

LABEL = "a" * 63
LONGEST = ".".join([LABEL, LABEL, LABEL, "a" * 61])


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org:443", "example.org", 443),
        ("EXAMPLE.org:443", "EXAMPLE.org", 443),
        ("example.org.:443", "example.org.", 443),
        ("under_score.example:1", "under_score.example", 1),
        ("localhost:65535", "localhost", 65535),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("[::]:1", "::", 1),
        ("bücher.example:80", "xn--bcher-kva.example", 80),
        ("ПРИМЕР.example:80", "xn--e1afmkfd.example", 80),
        ("例え。テスト:80", "xn--r8jz45g.xn--zckzah", 80),
        (f"{LONGEST}:9", LONGEST, 9),
        (f"{LONGEST}.:9", f"{LONGEST}.", 9),
        ("a:00080", "a", 80),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("text", ["example.org:443", "192.0.2.1:80", "[2001:db8::1]:80"])
def test_address_is_written_in_the_form_that_is_parsed(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' has no port; write HOST:PORT"),
        ("example.org", "'example.org' has no port; write example.org:PORT"),
        ("a b", "'a b' has no port; write HOST:PORT"),
        ("a:1,b:2", "'a:1,b:2' is more than one address; give each on its own"),
        ("[::1]", r"'\[::1\]' has no port; write \[::1\]:PORT"),
        ("::1:80", r"write an IPv6 address as \[ADDRESS\]:PORT"),
        ("http://example.org:80", "^'http://example.org:80': write HOST:PORT without http://$"),
        ("socks5h://me:s3cret@example.org", "^write HOST:PORT without socks5h://$"),
        ("[example.org]:80", "only an IPv6 address stands in brackets"),
        ("[]:80", "only an IPv6 address stands in brackets"),
        ("[::g]:80", "'::g' is not an IPv6 address"),
        ("[1:2:3]:80", "'1:2:3' is not an IPv6 address"),
        ("[fe80::1%]:80", "is not an IPv6 address with a zone"),
        ("[fe80::1%a\nb]:80", "is not an IPv6 address with a zone"),
        ("[fe80::1%é]:80", "is not an IPv6 address with a zone"),
        ("[fe80::1%a%b]:80", "is not an IPv6 address with a zone"),
        ("[fe80::1%sixteenletters__]:80", "is not an IPv6 address with a zone"),
        ("[2606:4700::1%x.evil.com]:443", r"only a link-local address \(fe80::\) has a zone"),
        ("[::1%lo]:80", r"only a link-local address \(fe80::\) has a zone"),
        (":80", "'' is not a host name"),
        (".:80", "is not a host name"),
        ("a..b:80", "is not a host name"),
        (".a:80", "is not a host name"),
        ("a b:80", "is not a host name"),
        ("a\0:80", "is not a host name"),
        ("a\n:80", "is not a host name"),
        ("a\x7f:80", "is not a host name"),
        ("a/b:80", "is not a host name"),
        ("user@host:80", "is not a host name"),
        (f"{LABEL}a:80", "is not a host name"),
        (f"a{LONGEST}:80", "is not a host name"),
        (f"{'a.' * 126}aa:80", "a host name of 254 bytes is over the limit of 253"),
        ("bücher\x00.example:80", "is not a host name"),
        ("a\ufffd:80", "is not a valid international name"),
        ("bücher..example:80", "is not a valid international name"),
        ("ü" * 63 + ":80", "is not a valid international name"),
        ("a\u2100:80", "is not a host name"),
        ("a:", "port '' is not a number from 1 to 65535"),
        ("a:0", "port '0' is not a number from 1 to 65535"),
        ("a:65536", "port '65536' is not a number from 1 to 65535"),
        ("a:000080", "port '000080' is not a number from 1 to 65535"),
        ("a:-1", "port '-1' is not a number from 1 to 65535"),
        ("a:+80", "is not a number from 1 to 65535"),
        ("a: 80", "is not a number from 1 to 65535"),
        ("a:80\n", "is not a number from 1 to 65535"),
        ("a:٨٠", "is not a number from 1 to 65535"),
        ("a:8\uff10", "is not a number from 1 to 65535"),
        ("a:http", "is not a number from 1 to 65535"),
    ],
)
def test_invalid_address_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=message):
        Address.parse(text)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_outside_its_range_is_refused(port: int) -> None:
    with pytest.raises(AddressError, match=f"port {port} is not in 1-65535"):
        Address.checked("example.org", port)


def test_an_address_out_of_parts_is_checked() -> None:
    assert Address.checked("bücher.example", 1) == Address("xn--bcher-kva.example", 1)
    with pytest.raises(AddressError):
        Address.checked("a b", 80)


def test_name_is_not_an_ip_literal() -> None:
    assert str(ip_literal("::1")) == "::1"
    assert str(ip_literal("192.0.2.1")) == "192.0.2.1"
    assert ip_literal("example.org") is None


@pytest.mark.parametrize(
    ("ip", "shown"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:0:c000:201", "::ffff:0:c000:201"),
        ("::ffff:c000:201:1:2", "::ffff:c000:201:1:2"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_only_an_ipv4_mapped_address_loses_its_prefix(ip: str, shown: str) -> None:
    assert without_ipv4_mapping(ip) == shown


def test_untrusted_text_is_quoted_escaped_and_cut() -> None:
    assert quoted("a\n\x1b[31mé") == r"'a\n\x1b[31m\xe9'"
    assert quoted("x" * 80) == "'" + "x" * 80 + "'"
    assert quoted("x" * 81) == "'" + "x" * 77 + "...'"


NEARLY = st.text(alphabet="a1.:[]%-_é0\0\n ", max_size=40)
ANY_TEXT = st.one_of(st.text(), NEARLY)


@given(ANY_TEXT)
@example("[fe80::1%\0]:80")
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError as error:
        message = str(error)
    else:
        assert Address.parse(str(address)) == address
        return
    assert message.isascii()
    assert message.isprintable()


@given(ANY_TEXT)
@example("::1%\0")
@example("::1%é")
def test_any_text_is_a_plain_host_or_an_address_error(text: str) -> None:
    try:
        host = checked_host(text)
    except AddressError:
        return
    assert host.isascii()
    assert host.isprintable()
    assert not set(host) & set(' /@\\"[]')
    assert checked_host(host) == host


@given(ANY_TEXT)
def test_any_text_is_a_port_or_an_address_error(text: str) -> None:
    try:
        assert 1 <= parse_port(text) <= 65535
    except AddressError:
        return


@given(ANY_TEXT)
def test_any_text_is_a_place_to_listen_or_an_address_error(text: str) -> None:
    try:
        address = ListenAddress.parse(text)
    except AddressError:
        return
    assert address.path or 0 <= address.port <= 65535
    assert ListenAddress.parse(str(address)) == address
