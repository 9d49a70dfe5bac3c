"""The variables that send a program through a bridge."""

from collections.abc import Mapping
from urllib.parse import quote

NO_PROXY = "localhost,127.0.0.1,::1"
PROXY_VARIABLES = frozenset(
    name
    for word in ("http", "https", "ws", "wss", "all", "ftp", "no")
    for name in (f"{word}_proxy", f"{word}_PROXY".upper())
)
"""What would send a program elsewhere; `exec` takes all of them away first."""


def variables(http: str, socks: str, user: tuple[str, str] | None = None) -> dict[str, str]:
    """Return the variables that send programs through a bridge.

    Args:
        http: `host:port` where it speaks HTTP, empty where it does not.
        socks: `host:port` where it speaks SOCKS, empty where it does not; one of both is there.
        user: name and password, percent-encoded into the URLs (RFC 3986 section 3.2.1).
    """
    login = f"{quote(user[0], safe='')}:{quote(user[1], safe='')}@" if user else ""
    socks_url = f"socks5h://{login}{socks}" if socks else ""
    http_url = f"http://{login}{http}" if http else socks_url
    every = socks_url or http_url
    return {
        "http_proxy": http_url,
        "https_proxy": http_url,
        "HTTPS_PROXY": http_url,
        "ws_proxy": http_url,
        "wss_proxy": http_url,
        "all_proxy": every,
        "ALL_PROXY": every,
        "no_proxy": NO_PROXY,
        "NO_PROXY": NO_PROXY,
        "NODE_USE_ENV_PROXY": "1",
    }


def first_of(users: Mapping[str, str] | None) -> tuple[str, str] | None:
    """Return the first user and password, None where everybody may come in."""
    return next(iter(users.items())) if users else None
