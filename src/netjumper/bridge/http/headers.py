"""Rewrites the heads of forwarded messages: which fields are kept, dropped, or added.

RFC 9110 section 7.6: hop-by-hop fields are dropped; all others keep their order and spelling.
"""

import re

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.http.messages import Fields, members, values

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110 section 7.6.1, and the fields that older clients send to a proxy."""

_ZONE = re.compile(r"%[^\]]*")
_H2C = re.compile(rb"(?:^|[, \t])h2c(?:[, \t]|$)", re.IGNORECASE)  # we are no HTTP/2 proxy

NEVER_HOP_BY_HOP = frozenset((b"content-length", b"host", b"via"))
"""Fields that a Connection field cannot remove: without them the message changes its meaning."""

NEVER_IN_TRAILERS = frozenset((b"content-length", b"host"))
"""Trailers must not change a message's framing or routing (RFC 9110 section 6.5.1)."""


def forwarded_request(request: h11.Request, target: Address, name: bytes) -> h11.Request:
    """Return a client's request as it is sent to its target.

    Args:
        request: the request, in absolute-form.
        target: the parsed target of the request.
        name: the bridge's name in Via.
    """
    fields: Fields = [(b"Host", host_field(target))]
    fields += [field for field in _end_to_end(request) if field[0].lower() != b"host"]
    if values(request, b"transfer-encoding"):
        fields.append((b"Transfer-Encoding", b"chunked"))
    fields = [_decrement_hops(field, request.method) for field in fields]
    if request.http_version >= b"1.1":  # RFC 9110 section 7.8
        fields += _upgrade(request)
    fields += [(b"Via", request.http_version + b" " + name)]
    return h11.Request(method=request.method, target=origin_form(request), headers=fields)


def forwarded_answer(
    answer: h11.Response | h11.InformationalResponse, name: bytes, *, last: bool = False
) -> h11.Response | h11.InformationalResponse:
    """Return a target's answer as it is sent to the client; h11 frames its body again.

    Args:
        answer: the target's answer.
        name: the bridge's name in Via.
        last: whether the client's connection is closed after it.
    """
    fields = _end_to_end(answer)
    # A transfer coding overrides a length (RFC 9112 section 6.3), and answers without content
    # must not have one (RFC 9110 section 8.6).
    without_content = answer.status_code < 200 or answer.status_code == 204
    if without_content or values(answer, b"transfer-encoding"):
        fields = [field for field in fields if field[0].lower() != b"content-length"]
    if answer.status_code == 101:
        fields += _upgrade(answer)
    fields.append((b"Via", answer.http_version + b" " + name))
    if last:
        fields.append((b"Connection", b"close"))
    return type(answer)(status_code=answer.status_code, headers=fields, reason=answer.reason)


def forwarded_trailers(end: h11.EndOfMessage, head: h11.Request | h11.Response) -> Fields:
    """Return the trailers to forward, again as trailers.

    Args:
        end: the end of the message, with its trailers.
        head: the head of the message, whose Connection fields also apply to trailers.
    """
    dropped = NEVER_IN_TRAILERS | set(members(head, b"connection"))
    return [field for field in _end_to_end(end) if field[0].lower() not in dropped]


def host_field(target: Address) -> bytes:
    """Return the Host field for a target, without the default port of HTTP."""
    text = _ZONE.sub("", str(target))  # RFC 6874: a zone means something on this machine only
    return (text.removesuffix(":80") if target.port == 80 else text).encode("ascii")


def origin_form(request: h11.Request) -> bytes:
    """Return the request's target without scheme and authority (RFC 9112 section 3.2.1)."""
    _, _, rest = request.target.partition(b"#")[0].partition(b"://")
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    path = rest[end:]
    if not path:
        return b"*" if request.method == b"OPTIONS" else b"/"
    return path if path.startswith(b"/") else b"/" + path


def _end_to_end(
    message: h11.Request | h11.Response | h11.InformationalResponse | h11.EndOfMessage,
) -> Fields:
    dropped = HOP_BY_HOP | (set(members(message, b"connection")) - NEVER_HOP_BY_HOP)
    return [
        (raw, value) for raw, value in message.headers.raw_items() if raw.lower() not in dropped
    ]


def _upgrade(message: h11.Event) -> Fields:
    wanted = [value for value in values(message, b"upgrade") if not _H2C.search(value)]
    if not wanted or b"upgrade" not in members(message, b"connection"):
        return []
    return [(b"Connection", b"Upgrade"), (b"Upgrade", b", ".join(wanted))]


def _decrement_hops(field: tuple[bytes, bytes], method: bytes) -> tuple[bytes, bytes]:
    """Decrement Max-Forwards (RFC 9110 section 7.6.2)."""
    name, value = field
    if name.lower() == b"max-forwards" and method in (b"OPTIONS", b"TRACE") and value.isdigit():
        return name, str(int(value[:9]) - 1).encode()
    return field
