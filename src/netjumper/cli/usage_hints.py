"""Lines to type next, which a service prints when it listens."""

from collections.abc import Iterable

from netjumper.addressing.listen_address import reachable_from_here
from netjumper.addressing.listeners import LISTENERS, TLS, Greeting


def bridge_lines(listening: Iterable[tuple[str, str]], *, password: bool) -> list[str]:
    """Return commands that send a program's connections through the bridge.

    Args:
        listening: the listening sockets as (name of the listener, address).
        password: whether clients must give one.
    """
    lines = []
    login = "USER:PASSWORD@" if password else ""
    for name, address in listening:
        if address.startswith("unix:"):  # neither curl nor a variable can name one
            continue
        here = reachable_from_here(address)
        if Greeting.SOCKS5 in LISTENERS[name].greetings:
            user = "--proxy-user USER:PASSWORD " if password else ""
            lines.append(f"curl {user}--socks5-hostname {here} https://example.org/")
        if Greeting.HTTP_OPTIONS in LISTENERS[name].greetings:
            # Some programs read only one spelling, and connect directly if it is not set.
            url = f"http://{login}{here}"
            lines.append(f"export http_proxy={url} https_proxy={url} HTTPS_PROXY={url}")
    return lines


def server_lines(listening: Iterable[tuple[str, str]], pin: str = "") -> list[str]:
    """Return commands that start a bridge which uses this jump server.

    Args:
        listening: the listening sockets as (name of the listener, address).
        pin: the SHA-256 of the server's certificate in hexadecimal digits; empty without one.
    """
    lines = []
    for name, address in listening:
        host, _, port = address.rpartition(":")
        if address.startswith("unix:"):
            continue
        if host in ("[::]", "0.0.0.0"):  # noqa: S104 - compared, not bound
            host = "ADDRESS-OF-THIS-MACHINE"
        jump = f"{host}:{port}"
        if name == TLS.name:
            jump = f"netjumper+tls://{jump}"
            if pin:
                jump = f"'{jump}?pin={pin}'"  # a shell would take the ? for a pattern
        lines.append(f"netjumper-bridge --jump {jump} --secret-file FILE")
    return lines
