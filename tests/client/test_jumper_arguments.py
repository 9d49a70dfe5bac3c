"""What a `Jumper` takes: secrets out of files, targets in two forms, and clear errors."""

import asyncio
import re

import pytest

import netjumper
from netjumper import Address, Jumper, WrongSecret
from netjumper.client.failures import named, trust_error
from netjumper.tls.engine import ssl
from tests.support.peers import closed_port, echo, serving
from tests.support.services import SECRET, jump_server_running

HOST = "home.example:9527"
STRAY = "here it begins or ends with a space or newline"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
async def test_secret_in_a_file_may_end_with_a_newline(end, private):
    path = private("secret", (SECRET + end).decode())
    async with serving(echo) as target, jump_server_running() as (_, address):
        jumper = Jumper(str(address), secret_file=path)
        (await asyncio.to_thread(jumper.connect, str(target.address))).close()


def test_secret_in_a_file_is_without_the_byte_order_mark(private):
    path = private("secret", "\ufeffs3cret\n")
    assert Jumper(HOST, secret_file=str(path))._secret == b"s3cret"


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("s3cret", 0o644, "others can read .*/secret; type: chmod 600 "),
        ("\n", 0o600, "secret_file: .*/secret has nothing in it"),
    ],
)
def test_secret_file_that_cannot_be_used_is_refused(content, mode, message, private):
    with pytest.raises(ValueError, match=message):
        Jumper(HOST, secret_file=private("secret", content, mode))


def test_missing_secret_file_is_a_file_not_found_error():
    with pytest.raises(FileNotFoundError):
        Jumper(HOST, secret_file="/nonexistent/secret")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, ValueError, "there is no secret; give secret or secret_file"),
        ({"secret": ""}, ValueError, "the secret is empty"),
        ({"secret": "a", "secret_file": "b"}, ValueError, "both given; leave one out"),
    ],
)
def test_secret_is_given_once(arguments, kind, message):
    with pytest.raises(kind, match=message):
        Jumper(HOST, **arguments)


def test_jump_host_that_is_no_text_is_a_type_error():
    with pytest.raises(TypeError, match="jump_host: expected a text, not NoneType"):
        Jumper(None, "s")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [None, 80, ("a",), ("a", "80"), ("a", 1, 0, 0), b"a:80"])
async def test_target_of_another_type_is_a_type_error(target):
    expected = re.escape("target: expected 'HOST:PORT' or (HOST, PORT)")
    with pytest.raises(TypeError, match=expected):
        Jumper(HOST, "s").connect(target)
    with pytest.raises(TypeError, match=expected):
        await Jumper(HOST, "s").open_connection(target)


async def test_target_may_be_the_tuple_that_sockets_take():
    async with serving(echo) as peer, jump_server_running() as (_, address):
        jumper = Jumper(str(address), SECRET)
        target = (peer.address.host, peer.address.port)
        (await asyncio.to_thread(jumper.connect, target)).close()
        (await jumper.open_socket(target)).close()
        (await jumper.open_socket(Address(*target))).close()


@pytest.mark.parametrize("secret", [SECRET + b"\n", b" " + SECRET])
async def test_wrong_secret_with_white_space_around_it_says_so(secret):
    async with jump_server_running() as (_, address):
        jumper = Jumper(str(address), secret)
        for attempt in (
            asyncio.to_thread(jumper.connect, str(closed_port())),
            jumper.open_socket(str(closed_port())),
        ):
            with pytest.raises(WrongSecret, match=STRAY):
                await attempt
        with pytest.raises(WrongSecret) as caught:
            await Jumper(str(address), "other").open_socket(str(closed_port()))
    assert STRAY not in str(caught.value)


def test_key_made_of_a_secret_with_white_space_around_it_says_so():
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_DECRYPT_ERROR] tlsv1 alert decrypt error")
    error.reason = "TLSV1_ALERT_DECRYPT_ERROR"
    jump = Address("home.example", 9527)
    assert STRAY in str(named(trust_error(error), jump, b"s\n"))
    assert STRAY not in str(named(trust_error(error), jump, b"s"))


def test_everything_that_the_constructor_documents_is_exported():
    text = str(Jumper.__doc__) + str(Jumper.__init__.__annotations__)
    for name in ("EncryptionError", "AddressError", "Encryption"):
        assert name in text
        assert name in netjumper.__all__
    assert issubclass(netjumper.TooManyTunnels, netjumper.TargetError)
