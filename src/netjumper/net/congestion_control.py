"""The TCP congestion control of the long path: BBR, if this process can use it.

cubic and reno take each lost packet for congestion. On a path that loses 1 % of the packets in 200
ms they get about 1 Mbit/s, where BBR gets most of the bandwidth.
"""

import functools
import os
import socket

AUTO = "auto"
"""The setting that stands for `PREFERRED`, or for the system's if that cannot be used."""
PREFERRED = "bbr"

_OPTION = getattr(socket, "TCP_CONGESTION", None)
_MAX_NAME = 16
"""Bytes of a congestion control's name (TCP_CA_NAME_MAX)."""


def chosen(setting: str) -> str:
    """Return the name for `SocketOptions`: what `auto` stands for here, or the setting itself."""
    return _preferred() if setting == AUTO else setting


@functools.cache
def _preferred() -> str:
    return PREFERRED if is_usable(PREFERRED) else ""


def is_usable(name: str) -> bool:
    """Return whether this process can set a congestion control; it tries on a socket."""
    if _OPTION is None:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, _OPTION, os.fsencode(name))
        except (OSError, ValueError):
            return False
    return True


def used_by(sock: socket.socket) -> str:
    """Return the name of a socket's congestion control; empty if the system does not tell."""
    if _OPTION is None:
        return ""
    try:
        name = sock.getsockopt(socket.IPPROTO_TCP, _OPTION, _MAX_NAME)
    except OSError:  # not a TCP socket
        return ""
    return name.partition(b"\0")[0].decode("ascii", "replace")


def description(name: str) -> str:
    """Return a line about the congestion control of the long path, for people.

    Args:
        name: as in `SocketOptions`; empty is the system's.
    """
    if name:
        return f"congestion control on the long path: {name}"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        system = used_by(sock)
    if not system:
        return ""
    line = f"congestion control on the long path: {system}, the system's"
    if system == PREFERRED or is_usable(PREFERRED):
        return line
    return f"{line}; {PREFERRED} would be faster if packets are lost ({HOW_TO_ENABLE})"


HOW_TO_ENABLE = (
    f"modprobe tcp_{PREFERRED}; "
    f"sysctl -w net.ipv4.tcp_allowed_congestion_control='reno cubic {PREFERRED}'"
)
"""The commands, as root, after which every process can use it."""
