"""The listeners of both programs: their names, settings, labels and health checks.

One row for each kind of listener. Its name is also the `FileDescriptorName=` of a systemd socket
unit. Nothing here opens a socket.
"""

from dataclasses import dataclass
from enum import Enum


class Greeting(Enum):
    """What a health check sends to a listener, and so which answer it expects; the value is for
    people."""

    CHALLENGE = "netjumper"
    """Nothing: the jump server sends its challenge first."""
    TLS_HELLO = "netjumper with TLS"
    """A TLS ClientHello."""
    SOCKS5 = "SOCKS"
    """A SOCKS5 method selection (RFC 1928 section 3)."""
    HTTP_OPTIONS = "HTTP"
    """An `OPTIONS *` request (RFC 9110 section 9.3.7)."""


@dataclass(frozen=True, slots=True)
class ListenerKind:
    """One kind of listener.

    Attributes:
        name: its name in code, and for a service manager.
        key: the setting with its addresses.
        label: its name in the log and on the terminal.
        greetings: what a health check sends, each on its own connection.
    """

    name: str
    key: str
    label: str
    greetings: tuple[Greeting, ...]


CLEAR = ListenerKind("netjumper", "listen", "netjumper", (Greeting.CHALLENGE,))
TLS = ListenerKind("tls", "listen_tls", "netjumper with TLS", (Greeting.TLS_HELLO,))
SOCKS = ListenerKind("socks", "socks", "SOCKS", (Greeting.SOCKS5,))
HTTP = ListenerKind("http", "http", "HTTP", (Greeting.HTTP_OPTIONS,))
MIXED = ListenerKind("mixed", "mixed", "SOCKS and HTTP", (Greeting.SOCKS5, Greeting.HTTP_OPTIONS))

SERVER_LISTENERS = (CLEAR, TLS)
BRIDGE_LISTENERS = (SOCKS, HTTP, MIXED)
LISTENERS = {it.name: it for it in (*SERVER_LISTENERS, *BRIDGE_LISTENERS)}
"""All kinds by name."""
