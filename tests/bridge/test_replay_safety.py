"""First bytes that may be sent to a target twice."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper.bridge.replay_safety import is_replay_safe

REQUEST = b"GET / HTTP/1.1\r\nHost: target.example\r\n\r\n"
ZERO_RTT = b"\x17\3\3\0\5hello"
"""A record of application data."""
CHANGE_CIPHER_SPEC = b"\x14\3\3\0\1\1"


def client_hello(version: ssl.TLSVersion) -> bytes:
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="target.example").do_handshake()
    return sent.read()


def in_records(hello: bytes, size: int) -> bytes:
    """Split the message of one record over several (RFC 8446 section 5.1)."""
    head, body = hello[:3], hello[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(head + len(piece).to_bytes(2) + piece for piece in pieces)


HELLOS = {
    "TLS 1.3": client_hello(ssl.TLSVersion.TLSv1_3),
    "TLS 1.2": client_hello(ssl.TLSVersion.TLSv1_2),
    "split over records": in_records(client_hello(ssl.TLSVersion.TLSv1_3), 50),
    "split into single bytes": in_records(client_hello(ssl.TLSVersion.TLSv1_3), 1),
}
every_hello = pytest.mark.parametrize("hello", HELLOS.values(), ids=HELLOS.keys())


@every_hello
def test_client_hello_is_replay_safe_wherever_it_is_cut(hello: bytes) -> None:
    assert len(hello) > 100
    for end in range(len(hello) + 1):
        assert is_replay_safe(hello[:end]), end


@every_hello
@pytest.mark.parametrize("behind", [ZERO_RTT, CHANGE_CIPHER_SPEC + ZERO_RTT, b"\x17", b"\x14"])
def test_bytes_after_a_client_hello_are_not_replay_safe(hello: bytes, behind: bytes) -> None:
    assert not is_replay_safe(hello + behind)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST,
        REQUEST[:-1],
        REQUEST[:20],
        b"GET",
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"TRACE / HTTP/1.1\r\n\r\n",
        b"GET /" + 4000 * b"x",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\nHost: target.example\n\n",
    ],
)
def test_head_of_a_safe_request_is_replay_safe_even_if_incomplete(data: bytes) -> None:
    assert is_replay_safe(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(REQUEST + REQUEST, id="a second request"),
        pytest.param(REQUEST + b"P", id="the beginning of a second request"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\nPOST / HTTP/1.1\n\n", id="ends of lines alone"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\n\r\nPOST /", id="ends of lines mixed"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe", id="a body"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", id="POST"),
        pytest.param(b"GE", id="what can become a GET"),
        pytest.param(b"GETAWAY / HTTP/1.1\r\n\r\n", id="what begins like a safe method"),
        pytest.param(b"get / HTTP/1.1\r\n\r\n", id="a method in small letters"),
        pytest.param(b"GET key\r\nINCR counter\r\n", id="commands of Redis"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
        pytest.param(ZERO_RTT, id="TLS in its middle"),
        pytest.param(b"\x16\3\1\0\5\2abcd", id="a handshake message of another type"),
        pytest.param(b"\0", id="a zero"),
    ],
)
def test_data_that_may_change_its_target_is_not_replay_safe(data: bytes) -> None:
    assert not is_replay_safe(data)


@given(
    st.one_of(
        st.binary(),
        st.binary().map(lambda more: b"\x16\3\1" + more),
        st.binary().map(lambda more: HELLOS["TLS 1.2"] + more),
        st.binary().map(lambda more: b"GET " + more),
    )
)
def test_any_bytes_have_an_answer(data: bytes) -> None:
    assert is_replay_safe(data) in (True, False)
