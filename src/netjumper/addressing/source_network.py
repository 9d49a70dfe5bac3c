"""Who connects, as far as its address tells."""

import functools
import ipaddress


def ip_of(peer: str) -> str:
    """Return the IP address of `IP:PORT`; empty for a unix socket."""
    return peer.rpartition(":")[0].strip("[]")


def source_of(peer: str) -> str:
    """Return what counts as one source: an IPv4 address, an IPv6 network of 64 bits.

    Whoever has one address of such a network has all of them (RFC 6177). A unix socket is no
    source: who may open it is decided by its file.

    Args:
        peer: `IP:PORT` or `unix`.
    """
    ip = ip_of(peer)
    return _network_of(ip) if ":" in ip else ip


@functools.lru_cache(maxsize=1024)
def _network_of(ip: str) -> str:
    return str(ipaddress.IPv6Interface(f"{ip.partition('%')[0]}/64").network)
