"""The TLS engine in memory: handshake, plaintext, end and limits, without a socket."""

import contextlib
import ssl

import pytest

from netjumper.tls.engine import MAX_UNSENT_ANSWER_BYTES, Engine, Outgoing
from tests.support.tls_pair import HOST, any_peer, contexts


def test_unread_answers_are_limited():
    outgoing = Outgoing()
    outgoing.bio.write(bytes(MAX_UNSENT_ANSWER_BYTES))
    outgoing.flush_answers(lambda _: 10)
    outgoing.bio.write(bytes(MAX_UNSENT_ANSWER_BYTES + 1))
    with pytest.raises(OSError, match="does not read the answers"):
        outgoing.flush_answers(lambda _: 0)


def engines() -> tuple[Engine, Engine]:
    """Return a client's engine and a server's."""
    trusting, serving = contexts()
    client = Engine(lambda *bios: trusting.wrap_bio(*bios, server_hostname=HOST), any_peer)
    server = Engine(lambda *bios: serving.wrap_bio(*bios, server_side=True), any_peer)
    return client, server


def carry(source: Engine, sink: Engine) -> None:
    """Move everything that `source` has to send into `sink`."""
    sent = bytearray()

    def take(data: memoryview) -> int:
        sent.extend(data)
        return len(data)

    source.outgoing.flush(take)
    pieces = [bytes(sent)] if sent else []
    while sink.incoming.fill(lambda _: pieces.pop() if pieces else None):
        pass


def complete(client: Engine, server: Engine) -> None:
    """Complete the handshake."""
    while not (client.is_established and server.is_established):
        for this, that in ((client, server), (server, client)):
            if not this.is_established:
                with contextlib.suppress(ssl.SSLWantReadError):
                    this.shake_hands()
            carry(this, that)


def established() -> tuple[Engine, Engine]:
    """Return two engines whose handshake is complete."""
    client, server = engines()
    complete(client, server)
    return client, server


def read(engine: Engine, size: int = 100) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: engine.decrypt(memoryview(buffer))])


def test_client_begins_and_waits_for_the_server() -> None:
    client, server = engines()
    assert (client.begins, server.begins) == (True, False)
    with pytest.raises(ssl.SSLWantReadError):
        client.shake_hands()
    assert client.outgoing
    assert not client.has_failed


def test_bytes_pass_both_ways() -> None:
    client, server = established()
    client.encrypt(b"question")
    carry(client, server)
    assert read(server) == b"question"
    server.encrypt(b"answer")
    carry(server, client)
    assert read(client) == b"answer"
    with pytest.raises(ssl.SSLWantReadError):
        read(client)


def test_early_data_leaves_with_the_end_of_the_handshake() -> None:
    client, server = engines()
    assert client.send_early(b"early") == 5
    complete(client, server)
    assert read(server) == b"early"


def test_corked_data_leaves_with_the_next_data() -> None:
    client, server = established()
    client.cork(b"answer ")
    assert not client.outgoing
    client.encrypt(b"and more")
    carry(client, server)
    assert read(server) == b"answer and more"
    assert not client.uncork()
    client.cork(b"alone")
    assert client.uncork()
    carry(client, server)
    assert read(server) == b"alone"


def test_each_direction_ends_on_its_own() -> None:
    client, server = established()
    client.encrypt(b"last")
    client.end()
    carry(client, server)
    assert read(server) == b"last"
    with pytest.raises(ssl.SSLZeroReturnError):
        read(server)
    server.encrypt(b"still here")
    carry(server, client)
    assert read(client) == b"still here"


def test_plaintext_received_before_the_own_end_is_kept() -> None:
    client, server = established()
    server.encrypt(b"unread")
    carry(server, client)
    client.end()
    assert not client.is_read_up
    buffer = bytearray(4)
    assert client.take_plaintext(memoryview(buffer)) == 4
    assert bytes(buffer) == b"unre"
    assert client.take_plaintext(memoryview(buffer)) == 2
    assert client.plaintext == b""


def test_end_of_the_stream_without_close_notify_is_an_error() -> None:
    client, _ = established()
    client.incoming.fill(lambda _: b"")
    with pytest.raises(ssl.SSLError) as caught:
        read(client)
    assert not isinstance(caught.value, ssl.SSLWantReadError)


def test_rejected_peer_gets_an_alert() -> None:
    trusts_none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = Engine(lambda *bios: trusts_none.wrap_bio(*bios, server_hostname=HOST), any_peer)
    server = engines()[1]
    for this, that in ((client, server), (server, client)):
        with pytest.raises(ssl.SSLWantReadError):
            this.shake_hands()
        carry(this, that)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.shake_hands()
    assert client.has_failed
    assert not client.is_established
    carry(client, server)
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown ca"):
        server.shake_hands()


def test_check_of_the_peer_decides() -> None:
    def reject(_: ssl.SSLObject) -> None:
        raise ssl.SSLCertVerificationError("wrong peer")

    trusting, _ = contexts()
    client = Engine(lambda *bios: trusting.wrap_bio(*bios, server_hostname=HOST), reject)
    server = engines()[1]
    for this, that in ((client, server), (server, client)):
        with pytest.raises(ssl.SSLWantReadError):
            this.shake_hands()
        carry(this, that)
    with pytest.raises(ssl.SSLCertVerificationError, match="wrong peer"):
        client.shake_hands()
    assert client.has_failed
    assert not client.is_established
