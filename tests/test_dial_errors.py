"""The outcome's words, both ways: error -> text in the jump server, text -> error in the client."""

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper import dial_errors
from netjumper.errors import (
    HostUnreachable,
    InvalidTarget,
    NameLookupFailed,
    NameNotFound,
    NetworkUnreachable,
    OutOfResources,
    TargetDenied,
    TargetError,
    TargetRefused,
    TargetTimeout,
)

WHERE = "192.0.2.1:443"

CONNECT_ERRORS = {
    errno.ECONNREFUSED: (TargetRefused, "connection refused"),
    errno.ETIMEDOUT: (TargetTimeout, "connection timed out"),
    errno.ENETUNREACH: (NetworkUnreachable, "network is unreachable"),
    errno.EHOSTUNREACH: (HostUnreachable, "no route to host"),
    errno.EHOSTDOWN: (HostUnreachable, "host is down"),
    errno.EACCES: (TargetDenied, "permission denied"),
    errno.EPERM: (TargetDenied, "operation not permitted"),
    errno.ECONNRESET: (TargetError, "connection reset by peer"),
    errno.EADDRNOTAVAIL: (TargetError, "cannot assign requested address"),
    errno.EINVAL: (TargetError, "invalid argument"),
}
RESOURCE_ERRORS = {
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files in system",
    errno.ENOBUFS: "no buffer space available",
    errno.ENOMEM: "cannot allocate memory",
}
LOOKUP_ERRORS = {
    socket.EAI_NONAME: (NameNotFound, "no such host"),
    socket.EAI_NODATA: (NameNotFound, "no such host"),
    socket.EAI_AGAIN: (NameLookupFailed, "server misbehaving"),
    socket.EAI_FAIL: (NameLookupFailed, "server misbehaving"),
}
ORIGINALS = {
    "dial tcp 127.0.0.1:1: connect: connection refused": TargetRefused,
    "dial tcp [::1]:1: connect: connection refused": TargetRefused,
    "dial tcp: lookup no-such-host.invalid on 192.0.2.53:53: no such host": NameNotFound,
    "dial tcp 192.0.2.1:443: i/o timeout": TargetTimeout,
    "dial tcp: lookup example.org on 192.0.2.53:53: i/o timeout": TargetTimeout,
    "dial tcp 192.0.2.1:443: connect: connection timed out": TargetTimeout,
    "dial tcp 192.0.2.1:443: connect: network is unreachable": NetworkUnreachable,
    "dial tcp 192.0.2.1:443: connect: no route to host": HostUnreachable,
    "dial tcp: lookup example.org on 192.0.2.53:53: server misbehaving": NameLookupFailed,
    "dial tcp: lookup example.org: Temporary failure in name resolution": NameLookupFailed,
    "dial tcp: address example.org: missing port in address": InvalidTarget,
    "dial tcp: address ::1:80: too many colons in address": InvalidTarget,
    "dial tcp: address 99999: invalid port": InvalidTarget,
    "dial tcp: address tcp/nosuch: unknown port": InvalidTarget,
    "dial tcp: lookup tcp/nosuch: unknown port": InvalidTarget,
}


@pytest.mark.parametrize("number", RESOURCE_ERRORS, ids=errno.errorcode.get)
def test_resource_exhaustion_is_not_reported_as_the_targets_failure(number: int) -> None:
    error = dial_errors.from_oserror(OSError(number, os.strerror(number)), WHERE)
    assert type(error) is OutOfResources
    assert str(error) == f"dial tcp 192.0.2.1:443: socket: {RESOURCE_ERRORS[number]}"
    assert error.reason == RESOURCE_ERRORS[number]
    same_again(error)


def same_again(error: TargetError) -> None:
    """Hold that the error's text makes the same error."""
    again = dial_errors.from_text(str(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


@pytest.mark.parametrize(
    "number", CONNECT_ERRORS, ids=[errno.errorcode[number] for number in CONNECT_ERRORS]
)
def test_failed_connect_has_the_text_of_the_original(number: int) -> None:
    kind, words = CONNECT_ERRORS[number]
    error = dial_errors.from_oserror(OSError(number, os.strerror(number)), WHERE)
    assert type(error) is kind
    assert str(error) == f"dial tcp 192.0.2.1:443: connect: {words}"
    same_again(error)


@pytest.mark.parametrize("number", errno.errorcode, ids=list(errno.errorcode.values()))
def test_every_error_number_has_words_that_make_the_same_error(number: int) -> None:
    error = dial_errors.from_oserror(OSError(number, os.strerror(number)), WHERE)
    assert error.reason != "no reason given"
    same_again(error)


def test_errno_without_a_text_has_the_systems_text() -> None:
    error = dial_errors.from_oserror(OSError(errno.ECONNRESET, ""), WHERE)
    assert str(error) == "dial tcp 192.0.2.1:443: connect: connection reset by peer"


@pytest.mark.parametrize(
    ("error", "words"),
    [(OSError("Odd Thing"), "odd thing"), (ConnectionAbortedError(), "connectionabortederror")],
)
def test_error_without_errno_is_described_by_its_text(error: OSError, words: str) -> None:
    message = dial_errors.from_oserror(error, WHERE)
    assert type(message) is TargetError
    assert str(message) == f"dial tcp 192.0.2.1:443: connect: {words}"


@pytest.mark.parametrize("number", LOOKUP_ERRORS)
def test_failed_lookup_has_the_text_of_the_original(number: int) -> None:
    kind, words = LOOKUP_ERRORS[number]
    error = dial_errors.from_gaierror(
        socket.gaierror(number, "the system's own words"), "example.org"
    )
    assert type(error) is kind
    assert str(error) == f"dial tcp: lookup example.org: {words}"
    same_again(error)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (dial_errors.timed_out(WHERE), TargetTimeout, "dial tcp 192.0.2.1:443: i/o timeout"),
        (
            dial_errors.lookup_timed_out("example.org"),
            TargetTimeout,
            "dial tcp: lookup example.org: i/o timeout",
        ),
        (
            dial_errors.denied(WHERE, "a reserved network"),
            TargetDenied,
            "dial tcp 192.0.2.1:443: a reserved network, not permitted",
        ),
        (
            dial_errors.name_not_found("example.org"),
            NameNotFound,
            "dial tcp: lookup example.org: no such host",
        ),
        (
            dial_errors.invalid_target("99999", "invalid port"),
            InvalidTarget,
            "dial tcp: address 99999: invalid port",
        ),
    ],
)
def test_our_own_failures_have_the_originals_words(
    error: TargetError, kind: type[TargetError], text: str
) -> None:
    assert type(error) is kind
    assert str(error) == text
    same_again(error)


@pytest.mark.parametrize("words", dial_errors.ERROR_TEXTS, ids=lambda words: words.phrase)
def test_every_phrase_of_the_table_makes_its_error(words: dial_errors.ErrorText) -> None:
    assert type(dial_errors.from_text(f"dial tcp {WHERE}: {words.phrase}")) is words.error


@pytest.mark.parametrize(("text", "kind"), ORIGINALS.items())
def test_the_originals_texts_are_typed(text: str, kind: type[TargetError]) -> None:
    error = dial_errors.from_text(text)
    assert type(error) is kind
    assert str(error) == text


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_text_gives_no_reason(text: str) -> None:
    error = dial_errors.from_text(text)
    assert type(error) is TargetError
    assert str(error) == "no reason given"


@pytest.mark.parametrize(
    "text",
    [
        "the door is closed",
        "connection refused",  # not the words for a connect that was refused
        "no such host as that",
        "dial tcp 192.0.2.1:443: connect: connection refused, they say",
        "dial tcp: lookup " + "a" * 238,
        "\ufffd\ufffd",
    ],
)
def test_a_text_in_other_words_is_an_untyped_failure(text: str) -> None:
    error = dial_errors.from_text(text)
    assert type(error) is TargetError
    assert str(error) == text


def test_space_around_a_text_does_not_hide_its_type() -> None:
    assert type(dial_errors.from_text(" dial tcp 192.0.2.1:443: i/o timeout\n")) is TargetTimeout


@given(st.text())
def test_any_text_makes_a_target_error(text: str) -> None:
    error = dial_errors.from_text(text)
    assert isinstance(error, TargetError)
    assert str(error) == (text.strip() or "no reason given")


@given(st.text(), st.sampled_from(dial_errors.ERROR_TEXTS))
def test_text_before_a_phrase_does_not_change_its_type(
    text: str, words: dial_errors.ErrorText
) -> None:
    assert type(dial_errors.from_text(f"{text}: {words.phrase}")) is words.error


@pytest.mark.parametrize("name", ["a" * 253, "ü" * 140])
def test_a_name_never_crowds_out_the_words_that_are_the_type(name: str) -> None:
    for error in (
        dial_errors.name_not_found(name),
        dial_errors.lookup_timed_out(name),
        dial_errors.invalid_target(name, "too many colons in address"),
        dial_errors.from_gaierror(socket.gaierror(socket.EAI_AGAIN, ""), name),
    ):
        text = str(error)
        assert len(text.encode()) <= 255
        assert type(dial_errors.from_text(text)) is type(error)
