"""A jump host in one line."""

import pytest

from netjumper.addressing.address import Address
from netjumper.addressing.jump_url import JumpUrl
from netjumper.errors import AddressError

HOME = Address("home.example.net", 9527)
PIN = "0a" * 32
CA = "ca can only be system; for a CA of your own set ca_file"
NO_URL = "this is another kind of URL"
SEVERAL = "these are several jump hosts; give --jump once for each"
SHAPE = (
    "behind netjumper:// is [CLIENT[:SECRET]@]HOST[:PORT][?KEY=VALUE]; in a secret @ / ? and # "
    "are written %40 %2F %3F and %23"
)

NO_SCHEME = "CLIENT@ and CLIENT:SECRET@ need netjumper:// or netjumper+tls:// before"
COLON = "HOST has a : in it; an IPv6 address stands in brackets, and behind a secret is @"
BRACKETS = "HOST has brackets that do not enclose an IPv6 address"
NO_PORT = "behind HOST: is a number; in a secret comma and space are written %2C and %20"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("home.example.net:9527", JumpUrl(HOME)),
        ("home.example.net:9527=3", JumpUrl(HOME, 3)),
        ("netjumper://home.example.net:9527", JumpUrl(HOME)),
        ("netjumper://home.example.net", JumpUrl(HOME)),
        ("netjumper://home.example.net/", JumpUrl(HOME)),
        ("NetJumper+TLS://home.example.net", JumpUrl(HOME, tls=True)),
        ("netjumper://[2001:db8::1]", JumpUrl(Address("2001:db8::1", 9527))),
        ("netjumper://[2001:db8::1]:22", JumpUrl(Address("2001:db8::1", 22))),
        ("netjumper+tls://alice@home.example.net", JumpUrl(HOME, tls=True, client="alice")),
        (
            "netjumper+tls://a.b:s%3A%2Fcret@home.example.net?weight=7",
            JumpUrl(HOME, 7, tls=True, client="a.b", secret="s:/cret"),
        ),
        ("netjumper://:s3cret@home.example.net", JumpUrl(HOME, secret="s3cret")),
        (
            f"netjumper+tls://home.example.net?pin={PIN}&pin=sha256:{'0B' * 32}",
            JumpUrl(HOME, tls=True, pins=(b"\x0a" * 32, b"\x0b" * 32)),
        ),
        (
            f"netjumper+tls://home.example.net?pin={':'.join(['0A'] * 32)}",
            JumpUrl(HOME, tls=True, pins=(b"\x0a" * 32,)),
        ),
        (
            "netjumper+tls://home.example.net?ca=system&name=jump.example",
            JumpUrl(HOME, tls=True, system_ca=True, name="jump.example"),
        ),
        ("netjumper+tls://home.example.net?ca=system", JumpUrl(HOME, tls=True, system_ca=True)),
    ],
)
def test_a_line_is_read_and_written(text, meaning):
    assert JumpUrl.parse(text) == meaning
    assert JumpUrl.parse(meaning.written(meaning.secret)) == meaning


@pytest.mark.parametrize("text", ["a:s\udcfe", "a:s%FE"])
def test_a_secret_may_be_any_bytes(text):
    it = JumpUrl.parse(f"netjumper+tls://{text}@home.example.net")
    assert (it.client, it.secret) == ("a", "s\udcfe")
    assert it.written(it.secret) == "netjumper+tls://a:s%FE@home.example.net:9527"
    assert JumpUrl.parse(it.written(it.secret)) == it


def test_jump_url_is_shown_without_the_secret():
    it = JumpUrl.parse("netjumper+tls://alice:s3cret@home.example.net?weight=2")
    assert str(it) == "netjumper+tls://alice@home.example.net:9527?weight=2"
    assert "s3cret" not in repr(it)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("home", "'home' has no port; write home:9527"),
        ("[::1]", "'[::1]' has no port; write [::1]:PORT"),
        ("a:1,b:2", SEVERAL),
        ("a:1 b:2", SEVERAL),
        ("home:s3cret,home:1", SEVERAL),
        ("home:1=0", "the weight '0' is not a number from 1 to 1000"),
        ("netjumper://", "'' is not a host name"),
        ("netjumper://a b", "'a b' is not a host name"),
        ("netjumper://home:99999", "port '99999' is not a number from 1 to 65535"),
        ("netjumper://alice:s3cret", NO_PORT),
        ("netjumper://alice:s3cret?key=value", NO_PORT),
        ("netjumper://home:", NO_PORT),
        ("netjumper://alice:s3cret:1", COLON),
        ("netjumper://2001:db8::1:9527", COLON),
        ("netjumper://alice:]s3cret:1", BRACKETS),
        ("netjumper://[::1]s3cret:1", BRACKETS),
        ("netjumper://[::1]s3cret", BRACKETS),
        ("netjumper://home/path", SHAPE),
        ("https://:s3cret@home", NO_URL),
        ("netjumper://:s3cret@home@x", SHAPE),
        ("netjumper://:s?3cret=1@home", SHAPE),
        ("netjumper://a:s3cret@@home", SHAPE),
        ("alice:s3cret@home.example.net:9527", NO_SCHEME),
        ("netjumper://home?weight", "behind the ? is KEY=VALUE, and & between several"),
        ("netjumper://home?weight=", "weight is empty"),
        ("netjumper://home?weight=1&weight=2", "weight is given twice"),
        ("netjumper://home?weight=1001", "the weight '1001' is not a number from 1 to 1000"),
        ("netjumper://home?weigth=1", "'weigth' is not one of weight, pin, ca, name"),
        (f"netjumper://home?pin={PIN}", "pin is for netjumper+tls://"),
        ("netjumper+tls://home?pin=abc", "the pin 'abc' is not a SHA-256 in 64 hexadecimal digits"),
        ("netjumper+tls://home?ca=x", CA),
        (f"netjumper+tls://home?pin={PIN}&ca=system", "pin cannot be combined with ca or name"),
    ],
)  # fmt: skip
def test_invalid_jump_url_is_reported_without_the_secret(text, problem):
    with pytest.raises(AddressError) as caught:
        JumpUrl.parse(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("name", [".example.org", "a..b", "a" * 70, "a%00b", "a%20b", "a%ff"])
def test_a_name_that_no_certificate_can_have_is_refused(name):
    with pytest.raises(AddressError):
        JumpUrl.parse(f"netjumper+tls://h?ca=system&name={name}")


@pytest.mark.parametrize("client", ["a" * 65, "a%00", "a%20b", "z%C3%B6e", "%ff", "a%40b"])
def test_a_client_that_no_server_can_know_is_refused(client):
    with pytest.raises(AddressError, match="a client's name is of letters, digits") as caught:
        JumpUrl.parse(f"netjumper+tls://{client}:s3cret@h")
    assert "s3cret" not in str(caught.value)
