"""The listening sockets of several processes, which one process opens for all of them."""

import socket
from collections.abc import Mapping, Sequence

from netjumper.net.doors import in_parts, open_doors
from netjumper.net.listener import ListenError, Place, SocketFile, bound_address
from netjumper.net.options import SocketOptions

Listeners = Mapping[str, Sequence[socket.socket]]
"""Listening sockets by the name of their door."""


class Entrance:
    """The listening sockets of all workers.

    Args:
        parts: the name of a door and one of its sockets, as often as the kernel spreads it.
        files: those of the unix sockets that are ours.
    """

    def __init__(
        self, parts: Sequence[tuple[str, Sequence[socket.socket]]], files: Sequence[SocketFile]
    ) -> None:
        self._parts = parts
        self._files = files
        self.listening = [(name, str(bound_address(socks[0]))) for name, socks in parts]
        self.inherits = False
        """Whether somebody else opened any of them."""

    @classmethod
    def open(
        cls, doors: Sequence[tuple[str, Place]], count: int, options: SocketOptions
    ) -> "Entrance":
        """Open the doors for `count` workers; those that somebody else opened they share.

        Raises:
            ListenError: one cannot be had; it says which door's.
        """
        parts, files = [], []
        for (name, place), socks in zip(doors, open_doors(doors, options), strict=True):
            for sock in socks:
                ours = sock is not place
                try:
                    parts.append((name, in_parts(sock, count, options) if ours else [sock]))
                except ListenError as error:
                    error.door = name
                    raise
                files.append(SocketFile(bound_address(sock).path if ours else ""))
        entrance = cls(parts, files)
        entrance.inherits = any(isinstance(place, socket.socket) for _, place in doors)
        return entrance

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
