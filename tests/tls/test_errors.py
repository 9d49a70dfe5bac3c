"""What a failure of TLS means, whatever Python's patch release and OpenSSL call it."""

import ssl

import pytest

from netjumper.tls.errors import is_cut, is_no_tls
from tests.support.tls_pair import contexts


def failure(received: bytes, *, ends: bool = False) -> ssl.SSLError:
    """Return what a server's handshake fails with."""
    incoming = ssl.MemoryBIO()
    server = contexts()[1].wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    incoming.write(received)
    if ends:
        incoming.write_eof()
    with pytest.raises(ssl.SSLError) as caught:
        server.do_handshake()
    return caught.value


def test_end_during_the_handshake_is_a_truncation() -> None:
    assert is_cut(failure(b"", ends=True))
    assert is_cut(failure(b"\x16\x03\x01", ends=True))


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b"x" * 32])
def test_other_protocols_are_recognised(text: bytes) -> None:
    error = failure(text)
    assert is_no_tls(error)
    assert not is_cut(error)


def test_reason_without_a_name_in_python_is_recognised() -> None:
    known = failure(b"GET / HTTP/1.1\r\n\r\n")
    named = "[SSL: HTTP_REQUEST] http request"
    assert named in str(known.strerror)
    unnamed = str(known.strerror).replace(named, "[SSL] http request")
    assert is_no_tls(ssl.SSLError(1, unnamed))
    assert is_no_tls(ssl.SSLError(1, "[SSL] record layer failure (_ssl.c:1032)"))
    assert not is_no_tls(ssl.SSLError(1, "[SSL] bad signature (_ssl.c:1032)"))
    assert not is_no_tls(ssl.SSLError(1, "another text"))
    assert not is_no_tls(OSError(1, "[SSL] record layer failure (_ssl.c:1032)"))
