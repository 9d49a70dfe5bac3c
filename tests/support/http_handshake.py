"""Requests for the HTTP handshake, and a parser of its answers."""

import base64
import re
from dataclasses import dataclass

import h11

from netjumper.addressing.address import Address
from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.handshake import HttpHandshake

CREDENTIALS = Credentials({"alice": "open:sesame"})
TARGET = Address("example.org", 443)


def guarded() -> HttpHandshake:
    return HttpHandshake(CREDENTIALS)


def connect(target: str = "example.org:443", *fields: str, version: str = "1.1") -> bytes:
    """Return a CONNECT request."""
    host = ["Host: example.org:443"] if version == "1.1" else []
    lines = [f"CONNECT {target} HTTP/{version}", *host, *fields, "", ""]
    return "\r\n".join(lines).encode()


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: {scheme} {token}"


RIGHT = basic("alice", "open:sesame")


@dataclass(frozen=True)
class Answer:
    """A response as a client reads it."""

    status: int
    reason: str
    fields: dict[str, str]
    body: str

    @property
    def proxy_status(self) -> list[tuple[str, dict[str, str]]]:
        """The `Proxy-Status` field: each hop with its parameters."""
        return parsed_proxy_status(self.fields["proxy-status"])


TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
PARAMETER = rf"; *([a-z*][a-z0-9_.*-]*)=({TOKEN}|\"(?:[ !#-\[\]-~]|\\[\"\\])*\")"
MEMBER = re.compile(rf"({TOKEN})((?:{PARAMETER})*)(?:, *|$)")


def parsed_proxy_status(field: str) -> list[tuple[str, dict[str, str]]]:
    """Parse a list of tokens with parameters (RFC 8941 section 3.1, RFC 9209 section 2)."""
    members, at = [], 0
    while at < len(field):
        member = MEMBER.match(field, at)
        assert member, f"no structured field from here on: {field[at:]}"
        found = re.findall(PARAMETER, member[2])
        members.append((member[1], {name: unquoted(value) for name, value in found}))
        at = member.end()
    return members


def unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def answers(sent: bytes, method: str = "CONNECT") -> list[Answer]:
    """Parse, with h11, the proxy's answers to several requests."""
    found = []
    while sent:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="x:1", headers=[("Host", "x:1")]))
        client.send(h11.EndOfMessage())
        client.receive_data(sent)
        response, body = client.next_event(), b""
        assert isinstance(response, h11.Response)
        while response.status_code >= 300 and isinstance(part := client.next_event(), h11.Data):
            body += bytes(part.data)
        fields = {name.decode(): value.decode("ascii") for name, value in response.headers}
        found.append(Answer(response.status_code, response.reason.decode(), fields, body.decode()))
        sent = client.trailing_data[0]
    return found


def answer(sent: bytes, method: str = "CONNECT") -> Answer:
    (only,) = answers(sent, method)
    return only


def assert_is_a_line(body: str) -> None:
    assert body.endswith("\n")
    assert body[:-1].isprintable()
    assert len(body) > 20
