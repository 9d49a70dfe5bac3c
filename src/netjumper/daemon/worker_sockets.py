"""The listening sockets of several processes, which one process opens for all of them."""

import socket
from collections.abc import Mapping, Sequence

from netjumper.net.listening_sockets import (
    ListenError,
    ListenTarget,
    SocketFile,
    bound_address,
    open_listeners,
)
from netjumper.net.reuseport import add_to_group, reuseport_group
from netjumper.net.socket_options import SocketOptions

Listeners = Mapping[str, Sequence[socket.socket]]
"""Listening sockets by the name of their door."""


class WorkerSockets:
    """The listening sockets of all workers.

    Args:
        parts: the name of a door and one of its sockets, as often as the kernel spreads it.
        files: those of the unix sockets that are ours.
        options: of the doors' TCP sockets.
    """

    def __init__(
        self,
        parts: Sequence[tuple[str, list[socket.socket]]],
        files: Sequence[SocketFile],
        options: SocketOptions,
    ) -> None:
        self._parts = parts
        self._options = options
        self._files = files
        self.listening = [(name, str(bound_address(socks[0]))) for name, socks in parts]
        self.inherits = False
        """Whether somebody else opened any of them."""

    @classmethod
    def open(
        cls, doors: Sequence[tuple[str, ListenTarget]], count: int, options: SocketOptions
    ) -> "WorkerSockets":
        """Open the doors for `count` workers; those that somebody else opened they share.

        Raises:
            ListenError: one cannot be had; it says which door's.
        """
        parts, files = [], []
        for (name, place), socks in zip(doors, open_listeners(doors, options), strict=True):
            for sock in socks:
                ours = sock is not place
                try:
                    parts.append((name, reuseport_group(sock, count, options) if ours else [sock]))
                except ListenError as error:
                    error.listener = name
                    raise
                files.append(SocketFile(bound_address(sock).path if ours else ""))
        entrance = cls(parts, files, options)
        entrance.inherits = any(isinstance(place, socket.socket) for _, place in doors)
        return entrance

    def pause(self, number: int) -> None:
        """Have the kernel give what would come to that worker's sockets to the others'.

        What has come to them already is reset: nobody would take it for a while.
        """
        for _, parts in self._parts:
            part = number % len(parts)
            if sum(sock.fileno() >= 0 for sock in parts) > 1:  # the last keeps the port
                parts[part].close()

    def resume(self, number: int) -> None:
        """Open again what `pause` has closed.

        Raises:
            ListenError: the system refuses.
        """
        for _, parts in self._parts:
            part = number % len(parts)
            if parts[part].fileno() < 0:
                there = next(sock for sock in parts if sock.fileno() >= 0)
                parts[part] = add_to_group(there, self._options)

    def of_worker(self, number: int) -> Listeners:
        """Return what the worker of that number listens on, and close the rest in this process."""
        chosen: dict[str, list[socket.socket]] = {}
        for name, parts in self._parts:
            kept = parts[number % len(parts)]
            chosen.setdefault(name, []).append(kept)
            for sock in parts:
                if sock is not kept:
                    sock.close()
        return chosen

    def close(self) -> None:
        """Let nobody in any more once the workers, too, have closed theirs."""
        for _, parts in self._parts:
            for sock in parts:
                sock.close()
        files, self._files = self._files, ()
        for file in files:
            file.remove()
