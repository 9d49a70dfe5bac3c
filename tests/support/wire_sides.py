"""Both sides of the netjumper protocol, and the bytes of a successful handshake."""

import hashlib

from netjumper.addressing.address import Address
from netjumper.protocol.wire import ClientHandshake, ServerHandshake, frame
from netjumper.server.clients import Client, Clients
from netjumper.server.guard import Guard
from tests.support.byte_splits import run

SECRET = b"superBigSecret"
CHALLENGE = b"a" * 32
ANSWER = frame(hashlib.sha1(CHALLENGE + SECRET).digest())
TARGET = Address("example.org", 443)
DESTINATION = b"\x0fexample.org:443"
REFUSED = "dial tcp 192.0.2.1:443: connect: connection refused"


def requesting(target: Address = TARGET, early_data: bytes = b"") -> ClientHandshake:
    """Return a client that has named its target."""
    handshake = ClientHandshake(SECRET)
    handshake.request(target)
    handshake.send_early(early_data)
    return handshake


def parked() -> ClientHandshake:
    """Return a client that is authenticated and has named no target yet."""
    handshake = ClientHandshake(SECRET)
    run(handshake, [frame(CHALLENGE), b"\0"])
    return handshake


def server(client: str = "") -> ServerHandshake:
    clients = Clients([Client(name=client, secrets=(SECRET,), guard=Guard())])
    return ServerHandshake(clients.verify, CHALLENGE)
