"""The table from errors to reply codes."""

from http import HTTPStatus

import pytest

from netjumper import errors
from netjumper.bridge.replies import BRIDGE, JUMP_SERVER, REPLIES, Reply, reply_for

EXPECTED: list[tuple[type[Exception], int, int, str, str]] = [
    (errors.TargetRefused, 5, 502, "connection_refused", JUMP_SERVER),
    (errors.TargetTimeout, 6, 504, "connection_timeout", JUMP_SERVER),
    (errors.NetworkUnreachable, 3, 502, "destination_ip_unroutable", JUMP_SERVER),
    (errors.HostUnreachable, 4, 502, "destination_unavailable", JUMP_SERVER),
    (errors.NameNotFound, 4, 502, "dns_error", JUMP_SERVER),
    (errors.NameLookupFailed, 4, 502, "dns_error", JUMP_SERVER),
    (errors.TargetDenied, 2, 403, "destination_ip_prohibited", JUMP_SERVER),
    (errors.OutOfResources, 1, 503, "proxy_internal_error", JUMP_SERVER),
    (errors.TooManyTunnels, 1, 503, "connection_limit_reached", JUMP_SERVER),
    (errors.InvalidTarget, 1, 502, "destination_unavailable", JUMP_SERVER),
    (errors.TargetError, 1, 502, "destination_unavailable", JUMP_SERVER),
    (errors.JumpHostUntrusted, 1, 502, "tls_certificate_error", BRIDGE),
    (errors.WrongSecret, 1, 503, "proxy_configuration_error", BRIDGE),
    (errors.JumpHostTimeout, 1, 504, "connection_timeout", BRIDGE),
    (errors.JumpHostUnreachable, 1, 503, "destination_unavailable", BRIDGE),
    (errors.JumpHostProtocolError, 1, 502, "connection_terminated", BRIDGE),
    (errors.JumpHostError, 1, 502, "connection_terminated", BRIDGE),
    (errors.AnswerCut, 1, 502, "http_response_incomplete", BRIDGE),
    (errors.AnswerTimeout, 1, 504, "http_response_timeout", BRIDGE),
    (errors.TargetBroke, 1, 502, "http_protocol_error", BRIDGE),
    (errors.AddressError, 1, 400, "http_request_error", BRIDGE),
    (RuntimeError, 1, 502, "proxy_internal_error", BRIDGE),
]

RFC_9209_ERRORS = {
    "connection_limit_reached",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "destination_unavailable",
    "dns_error",
    "http_protocol_error",
    "http_request_error",
    "http_response_incomplete",
    "http_response_timeout",
    "proxy_configuration_error",
    "proxy_internal_error",
    "tls_certificate_error",
}


@pytest.mark.parametrize(
    ("kind", "socks", "http", "proxy_error", "hop"), EXPECTED, ids=lambda value: str(value)[:50]
)
def test_error_has_its_codes(
    kind: type[Exception], socks: int, http: int, proxy_error: str, hop: str
) -> None:
    reply = reply_for(kind("what happened"))
    assert (reply.socks, reply.http, reply.proxy_error, reply.hop) == (
        socks,
        http,
        proxy_error,
        hop,
    )


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.error.__name__)
def test_no_row_is_hidden_by_an_earlier_one(reply: Reply) -> None:
    assert reply_for(reply.error("what happened")) is reply


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.error.__name__)
def test_every_row_uses_the_terms_of_its_protocols(reply: Reply) -> None:
    assert 400 <= HTTPStatus(reply.http) < 600
    assert reply.proxy_error in RFC_9209_ERRORS
    assert reply.socks != 0
    assert reply.sentence
