"""The variables that send a program through a bridge."""

from collections.abc import Mapping
from urllib.parse import quote

NO_PROXY = "localhost,127.0.0.1,::1"
"""Targets that programs connect to directly: this machine."""
PROXY_VARIABLES = frozenset(
    name
    for word in ("http", "https", "ws", "wss", "all", "ftp", "no")
    for name in (f"{word}_proxy", f"{word}_PROXY".upper())
)
"""Variables that select a proxy; `exec` removes all of them before it sets its own."""


def variables(
    http: str, socks: str, user: tuple[str, str] | None = None, no_proxy: str = NO_PROXY
) -> dict[str, str]:
    """Return the variables that send programs through a bridge.

    Args:
        http: `host:port` of its HTTP listener; empty if it has none.
        socks: `host:port` of its SOCKS listener; empty if it has none. One of both must be given.
        user: name and password, percent-encoded into the URLs (RFC 3986 section 3.2.1).
        no_proxy: targets that programs connect to directly.
    """
    login = f"{quote(user[0], safe='')}:{quote(user[1], safe='')}@" if user else ""
    socks_url = f"socks5h://{login}{socks}" if socks else ""
    http_url = f"http://{login}{http}" if http else socks_url
    # Some programs fail if it names SOCKS and they lack a library for that: httpx, for example.
    every = http_url if http == socks else socks_url or http_url
    return {
        "http_proxy": http_url,
        "https_proxy": http_url,
        "HTTPS_PROXY": http_url,
        "ws_proxy": http_url,
        "wss_proxy": http_url,
        "all_proxy": every,
        "ALL_PROXY": every,
        "no_proxy": no_proxy,
        "NO_PROXY": no_proxy,
        "NODE_USE_ENV_PROXY": "1",
    }


def first_of(users: Mapping[str, str] | None) -> tuple[str, str] | None:
    """Return the first user and password; None if no password is required."""
    return next(iter(users.items())) if users else None
