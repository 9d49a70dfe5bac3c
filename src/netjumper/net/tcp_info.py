"""The kernel's state of a TCP connection (tcp(7), TCP_INFO), if the system has it."""

import socket
import struct
import sys
from typing import NamedTuple

# struct tcp_info in linux/tcp.h, which only ever grows at its end.
_LAYOUT = struct.Struct("=8B24I4Q2I")
_PROBES, _UNACKED, _RTT, _TOTAL_RETRANS, _SEGS_OUT = 3, 12, 23, 31, 36
_SEND_WINDOW = struct.Struct("=228xI")
"""The offset of tcpi_snd_wnd, since Linux 5.4."""


class TcpInfo(NamedTuple):
    """The state of one connection.

    Attributes:
        probes: keepalive probes that the peer has not answered.
        unacknowledged: segments that the peer has not acknowledged.
        rtt: the smoothed round-trip time in seconds.
        retransmitted: segments that were sent again, in total.
        sent: segments that were sent, in total; at least 1.
        send_window: the peer's receive window in bytes; None on an old kernel.
    """

    probes: int
    unacknowledged: int
    rtt: float
    retransmitted: int
    sent: int
    send_window: int | None = None


def tcp_info(sock: socket.socket) -> TcpInfo | None:
    """Return the state; None if the system does not have it, or the connection is lost."""
    if sys.platform != "linux":
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEND_WINDOW.size)
        fields = _LAYOUT.unpack_from(raw)
    except (OSError, struct.error):  # a unix socket; an emulated kernel
        return None
    has_window = len(raw) >= _SEND_WINDOW.size
    return TcpInfo(
        fields[_PROBES],
        fields[_UNACKED],
        fields[_RTT] / 1e6,
        fields[_TOTAL_RETRANS],
        max(fields[_SEGS_OUT], 1),
        _SEND_WINDOW.unpack_from(raw)[0] if has_window else None,
    )
