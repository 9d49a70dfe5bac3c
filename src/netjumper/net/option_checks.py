"""Checks that the socket options in the settings work on this system, before there is traffic."""

import errno
import os
import socket
import sys
from pathlib import Path

from netjumper.errors import NetjumperError
from netjumper.net.socket_options import IPPROTO_MPTCP, Option, SocketOptions, family_of
from netjumper.text import quoted

FAST_OPEN_DIALS, FAST_OPEN_LISTENS = 1, 2
"""Bits of the kernel's net.ipv4.tcp_fastopen."""

_KERNEL = Path("/proc/sys/net/ipv4")
_ELSEWHERE = "only Linux has it"


class OptionUnavailable(NetjumperError):
    """A socket option that does not work on this system.

    Args:
        key: the field of `SocketOptions`.
        problem: one line that says why.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(problem)
        self.key = key


def check_listening(options: SocketOptions) -> None:
    """Try the options of listening sockets.

    Raises:
        OptionUnavailable: one does not work.
    """
    _check_linux(options)
    _check_both(options)
    if options.fast_open:
        _check_fast_open(FAST_OPEN_LISTENS)


def check_dialling(options: SocketOptions) -> None:
    """Try the options of dialled connections.

    Raises:
        OptionUnavailable: one does not work.
    """
    _check_linux(options)
    _check_both(options)
    if options.fast_open:
        _check_fast_open(FAST_OPEN_DIALS)
    if options.mark:
        _check_mark(options.mark)
    if options.interface:
        _check_interface(options.interface)
    for address in options.source:
        _check_source(address)


def _check_linux(options: SocketOptions) -> None:
    if sys.platform != "linux":
        for key in ("fast_open", "mptcp", "defer_accept", "mark", "interface"):
            if getattr(options, key):
                raise OptionUnavailable(key, _ELSEWHERE)


def _check_both(options: SocketOptions) -> None:
    if options.congestion_control:
        _check_congestion_control(options.congestion_control)
    if options.mptcp:
        _check_mptcp()


def _check_congestion_control(name: str) -> None:
    number = getattr(socket, "TCP_CONGESTION", None)
    if number is None:
        raise OptionUnavailable("congestion_control", "it cannot be chosen on this system")
    try:
        _try((socket.IPPROTO_TCP, number, os.fsencode(name)))
    except PermissionError:
        allowed = _kernels("tcp_allowed_congestion_control")
        problem = (
            f"{quoted(name)} needs the privilege CAP_NET_ADMIN; without it there are "
            f"{allowed} (net.ipv4.tcp_allowed_congestion_control)"
        )
    except (OSError, ValueError):
        available = _kernels("tcp_available_congestion_control")
        problem = f"this kernel has no congestion control {quoted(name)}, only {available}"
    else:
        return
    raise OptionUnavailable("congestion_control", problem)


def _check_mptcp() -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        raise OptionUnavailable(
            "mptcp", "this kernel has none, or net.mptcp.enabled is 0"
        ) from None


def _check_fast_open(bit: int) -> None:
    allowed = _kernels("tcp_fastopen")
    if allowed.isdigit() and not int(allowed) & bit:
        raise OptionUnavailable(
            "fast_open",
            f"it is turned off: net.ipv4.tcp_fastopen is {allowed}, and has to be "
            f"{int(allowed) & 3 | bit} (sysctl -w net.ipv4.tcp_fastopen={int(allowed) & 3 | bit})",
        )


def _check_mark(mark: int) -> None:
    try:
        _try((socket.SOL_SOCKET, socket.SO_MARK, mark))
    except PermissionError:
        raise OptionUnavailable("mark", "it needs the privilege CAP_NET_ADMIN") from None


def _check_interface(name: str) -> None:
    try:
        _try((socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(name)))
    except PermissionError:
        raise OptionUnavailable("interface", "it needs the privilege CAP_NET_RAW") from None
    except (OSError, ValueError):
        there = ", ".join(name for _, name in socket.if_nameindex())
        raise OptionUnavailable(
            "interface", f"unknown interface {quoted(name)}; this machine has {there}"
        ) from None


def _check_source(address: str) -> None:
    with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError as error:
            reason = (
                "this machine does not have that address"
                if error.errno == errno.EADDRNOTAVAIL
                else error.strerror
            )
            raise OptionUnavailable("source", f"{address}: {reason}") from None


def _try(option: Option) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(*option)


def _kernels(name: str) -> str:
    """Return a TCP setting of the kernel; empty if it has no such setting."""
    try:
        return (_KERNEL / name).read_text().strip()
    except OSError:
        return ""
