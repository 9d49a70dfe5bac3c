"""The Go original, recorded: its server's bytes into our client, its client's into our server."""

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netjumper import dial_errors
from netjumper.addressing.address import Address
from netjumper.errors import (
    AddressError,
    AuthenticationError,
    InvalidTarget,
    JumpHostProtocolError,
    NameNotFound,
    NetjumperError,
    TargetError,
    TargetRefused,
    WrongSecret,
)
from netjumper.protocol.handshake import EndOfStream
from netjumper.protocol.wire import ClientHandshake, ServerHandshake
from netjumper.server.clients import single_secret
from netjumper.server.guard import Guard
from tests.support.byte_splits import Run, one_by_one, run

FILE = Path(__file__).parent / "recordings" / "transcripts.json"
SECRET = b"superBigSecret"
HANDSHAKE_YES = 35
"""Bytes that the server says until a tunnel stands: a challenge and twice 0."""
RESOLVER = " on 192.0.2.53:53"
"""Which resolver was asked; ours does not tell."""


@dataclass(frozen=True)
class Recording:
    """One recorded connection; `told` is what the original's client showed of an error."""

    segments: list[dict[str, str]]
    secret: str = SECRET.decode()
    destination: str = ""
    told: str = ""

    def pieces(self, sender: str) -> list[bytes]:
        """Return the segments of one side, as they came."""
        mine = (segment for segment in self.segments if segment["from"] == sender)
        return [bytes.fromhex(segment["hex"]) for segment in mine if "hex" in segment]

    @property
    def client(self) -> bytes:
        return b"".join(self.pieces("client"))

    @property
    def server(self) -> bytes:
        return b"".join(self.pieces("server"))

    @property
    def challenge(self) -> bytes:
        return self.server[1:33]


RECORDINGS = {name: Recording(**fields) for name, fields in json.loads(FILE.read_text()).items()}
TUNNELS = ["ok", "empty-host", "pipelined-auth-dest-data"]
REFUSALS: dict[str, type[NetjumperError]] = {
    "refused": TargetRefused,
    "dns-failure": NameNotFound,
    "missing-port": InvalidTarget,
    "bad-port": InvalidTarget,
    "named-port": TargetRefused,
    "ipv6": TargetRefused,
}
CUT_SHORT = ["split-frame", "idle-before-auth", "idle-after-auth"]
EARLY = {
    "pipelined-auth-dest-data": Address("127.0.0.1", 9931),
    "pipelined-refused": Address("127.0.0.1", 1),
}
UNNAMEABLE = {"missing-port", "bad-port", "named-port", "empty-host"}
"""Destinations that our own client refuses to name, so a stand-in is named in their place."""


def test_every_recording_is_replayed() -> None:
    replayed = {*TUNNELS, *REFUSALS, *CUT_SHORT, *EARLY, "bad-secret", "long-host"}
    assert replayed == set(RECORDINGS)


# --- the original's server, our client ------------------------------------------------------


def target_of(name: str) -> Address:
    if name in EARLY:
        return EARLY[name]
    if name in UNNAMEABLE:
        return Address("stand-in.example", 1)
    return Address.parse(RECORDINGS[name].destination)


def client_run(name: str, *, at_once: bool, byte_by_byte: bool) -> tuple[Run, Run]:
    """Feed the recorded server to our client, in two parts: the destination is named between."""
    recording = RECORDINGS[name]
    handshake = ClientHandshake(recording.secret.encode())
    if at_once:
        handshake.request(target_of(name))
    cut = one_by_one if byte_by_byte else (lambda data: [data])
    first = run(handshake, cut(recording.server[:34]))
    if first.error:
        return first, first
    if not at_once:
        handshake.request(target_of(name))
    return first, run(handshake, [*cut(recording.server[34:]), b""])


both_ways = pytest.mark.parametrize("at_once", [True, False], ids=["at once", "when parked"])
in_both_cuts = pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])


@both_ways
@in_both_cuts
@pytest.mark.parametrize("name", TUNNELS)
def test_client_gets_its_tunnel(name: str, at_once: bool, byte_by_byte: bool) -> None:
    first, second = client_run(name, at_once=at_once, byte_by_byte=byte_by_byte)
    assert second.result == target_of(name)
    if not byte_by_byte:
        assert second.trailing == RECORDINGS[name].server[HANDSHAKE_YES:]
    sent = first.sent + second.sent
    assert RECORDINGS[name].client.startswith(sent[:21] if name in UNNAMEABLE else sent)


@both_ways
@in_both_cuts
@pytest.mark.parametrize("name", REFUSALS)
def test_client_gets_the_same_reason_as_the_originals(
    name: str, at_once: bool, byte_by_byte: bool
) -> None:
    first, second = client_run(name, at_once=at_once, byte_by_byte=byte_by_byte)
    assert second.error is REFUSALS[name]
    assert second.text == RECORDINGS[name].told
    sent = first.sent + second.sent
    if name in UNNAMEABLE:
        assert sent[:21] == RECORDINGS[name].client[:21]
    else:
        assert sent == RECORDINGS[name].client


@pytest.mark.parametrize("name", sorted(UNNAMEABLE))
def test_client_does_not_send_what_only_the_original_understands(name: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(RECORDINGS[name].destination)


@pytest.mark.parametrize("at_once", [True, False])
def test_client_with_a_wrong_secret_gets_wrong_secret(at_once: bool) -> None:
    recording = RECORDINGS["bad-secret"]
    handshake = ClientHandshake(b"wrong")
    if at_once:
        handshake.request(Address.parse(recording.destination))
    ended = run(handshake, recording.pieces("server"))
    assert ended.error is WrongSecret
    assert ended.text == recording.told
    assert ended.sent[:21] == recording.client
    assert at_once or len(ended.sent) == 21


def test_client_gets_no_reason_if_the_original_gives_none() -> None:
    first, second = client_run("long-host", at_once=True, byte_by_byte=False)
    assert second.error is TargetError
    assert second.text == "no reason given"
    assert first.sent == RECORDINGS["long-host"].client


@pytest.mark.parametrize("name", EARLY)
def test_client_sends_answer_destination_and_data_in_the_recorded_segment(name: str) -> None:
    handshake = ClientHandshake(SECRET)
    handshake.request(EARLY[name])
    handshake.send_early(b"early data")
    challenge, *answers = RECORDINGS[name].pieces("server")
    handshake.receive_data(challenge)
    assert [handshake.data_to_send()] == RECORDINGS[name].pieces("client")
    ended = run(handshake, answers)
    if name == "pipelined-refused":
        assert ended.error is TargetRefused
        assert ended.text == "dial tcp 127.0.0.1:1: connect: connection refused"
    else:
        assert ended.result == EARLY[name]
        assert ended.trailing == b"EARLY DATA"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("split-frame", "it closed the connection without a verdict"),
        ("idle-before-auth", "it closed the connection without a verdict"),
        ("idle-after-auth", "it closed a parked connection"),
    ],
)
def test_client_is_truncated_by_the_original(name: str, message: str) -> None:
    recording = RECORDINGS[name]
    ended = run(ClientHandshake(SECRET), [*recording.pieces("server"), b""])
    assert ended.error is JumpHostProtocolError
    assert ended.text == message
    assert ended.sent.startswith(recording.client)


# --- the original's client, our server ------------------------------------------------------


def server_for(name: str) -> ServerHandshake:
    return ServerHandshake(single_secret(SECRET, Guard()).verify, RECORDINGS[name].challenge)


def server_run(name: str, dial_error: TargetError | None = None) -> tuple[Run, bytes]:
    """Feed the recorded client to our server; return how that ended, and all that was said."""
    handshake = server_for(name)
    ended = run(handshake, RECORDINGS[name].pieces("client"))
    if ended.result is not None and dial_error is None:
        handshake.accept()
    elif ended.result is not None and dial_error is not None:
        handshake.reject(dial_error)
    assert run(server_for(name), one_by_one(RECORDINGS[name].client)).sent == ended.sent
    return ended, ended.sent + handshake.data_to_send()


def refused(target: str) -> TargetError:
    return dial_errors.from_oserror(OSError(errno.ECONNREFUSED, ""), target)


@pytest.mark.parametrize(
    ("name", "target", "behind"),
    [
        ("ok", Address("127.0.0.1", 9931), b"hello"),
        ("empty-host", Address("localhost", 9931), b"hello"),
        ("pipelined-auth-dest-data", Address("127.0.0.1", 9931), b"early data"),
    ],
)
def test_the_originals_client_gets_its_tunnel(name: str, target: Address, behind: bytes) -> None:
    handshake = server_for(name)
    said = run(handshake, [])
    assert said.sent == RECORDINGS[name].server[:33]
    ended, sent = server_run(name)
    result: Any = ended.result
    assert result.target == target
    assert sent == RECORDINGS[name].server[:HANDSHAKE_YES]
    assert ended.trailing == behind


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("refused", refused("127.0.0.1:1")),
        ("named-port", refused("127.0.0.1:80")),
        ("ipv6", refused("[::1]:1")),
        ("pipelined-refused", refused("127.0.0.1:1")),
    ],
)
def test_originals_client_gets_a_failed_dial_byte_for_byte(name: str, error: TargetError) -> None:
    ended, sent = server_run(name, error)
    result: Any = ended.result
    assert str(error).startswith(f"dial tcp {result.target}: ")
    assert sent == RECORDINGS[name].server


def test_originals_client_gets_a_missing_name_without_the_resolver() -> None:
    recording = RECORDINGS["dns-failure"]
    _, sent = server_run("dns-failure", dial_errors.name_not_found("no-such-host.invalid"))
    assert sent[:35] == recording.server[:35]
    assert sent[36:].decode() == recording.told.replace(RESOLVER, "")
    assert recording.server[36:].decode() == recording.told


@pytest.mark.parametrize("name", ["missing-port", "bad-port"])
def test_originals_client_gets_the_refusal_of_a_bad_destination_byte_for_byte(name: str) -> None:
    ended, sent = server_run(name)
    assert ended.error is InvalidTarget
    assert sent == RECORDINGS[name].server


def test_originals_client_gets_a_wrong_secret_byte_for_byte() -> None:
    ended, sent = server_run("bad-secret")
    assert ended.error is AuthenticationError
    assert sent == RECORDINGS["bad-secret"].server


def test_server_sends_the_long_text_that_the_original_drops() -> None:
    recording = RECORDINGS["long-host"]
    host = recording.destination.removesuffix(":80")
    ended, sent = server_run("long-host", dial_errors.name_not_found(host))
    result: Any = ended.result
    assert result.target == Address(host, 80)
    assert sent[:35] == recording.server
    text = f"dial tcp: lookup {host[:194]}...{host[-6:]}: no such host".encode()
    assert sent[35:] == bytes((len(text),)) + text
    assert type(dial_errors.from_text(text.decode())) is NameNotFound


def test_server_accepts_the_split_frame_that_the_original_refuses() -> None:
    ended, sent = server_run("split-frame")
    assert ended.error is None
    assert sent == RECORDINGS["split-frame"].server + b"\0"


@pytest.mark.parametrize("name", ["idle-before-auth", "idle-after-auth"])
def test_server_waits_where_the_original_waits(name: str) -> None:
    ended, sent = server_run(name)
    assert ended.error is None
    assert sent == RECORDINGS[name].server
    assert run(server_for(name), [*RECORDINGS[name].pieces("client"), b""]).error is EndOfStream
