"""A `Forwarding` between a scripted client and a scripted target, without sockets."""

from netjumper.bridge.credentials import Credentials
from netjumper.bridge.http.exchange import Exchange
from netjumper.bridge.http.forwarding import Forwarding
from netjumper.bridge.http.handshake import AuthorizedRequest, HttpHandshake

NAME = b"bridge-1"
VIA = b"Via: 1.1 bridge-1\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_BACK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 bridge-1\r\n\r\nok"


class Talk:
    """A `Forwarding`, the bytes it sent to both sides, and its finished exchanges."""

    def __init__(self, first: bytes, credentials: Credentials | None = None) -> None:
        handshake = HttpHandshake(credentials)
        handshake.receive_data(first)
        request = handshake.result
        assert isinstance(request, AuthorizedRequest)
        self.now = 1000.0
        self.done: list[Exchange] = []
        self.it = Forwarding(request, name=NAME, clock=lambda: self.now, done=self.done.append)

    def client(self, data: bytes) -> "Talk":
        self.it.receive_from_client(data)
        return self

    def target(self, data: bytes) -> "Talk":
        self.it.receive_from_target(data)
        return self

    def open(self) -> "Talk":
        assert self.it.target_to_open is not None
        self.it.target_opened()
        return self

    @property
    def to_client(self) -> bytes:
        return self.it.data_to_client()

    @property
    def to_target(self) -> bytes:
        return self.it.data_to_target()


def get(
    path: bytes = b"/", *fields: bytes, method: bytes = b"GET", host: bytes = b"a.example"
) -> bytes:
    lines = [method + b" http://" + host + path + b" HTTP/1.1", b"Host: wrong.example", *fields]
    return b"\r\n".join([*lines, b"", b""])
