"""The listening sockets of all workers; the parent opens them."""

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
"""Listening sockets by the name of their listener."""


class WorkerSockets:
    """The listening sockets of all workers.

    Args:
        groups: for each address the listener's name and its sockets: one per worker, if the kernel
            spreads connections over them, else one that all workers share.
        files: the files of the unix sockets that this process opened.
        options: of the TCP sockets.
    """

    def __init__(
        self,
        groups: Sequence[tuple[str, list[socket.socket]]],
        files: Sequence[SocketFile],
        options: SocketOptions,
    ) -> None:
        self._groups = groups
        self._options = options
        self._files = files
        self.listening = [(name, str(bound_address(socks[0]))) for name, socks in groups]
        self.inherits = False
        """Whether the service manager opened any of them."""

    @classmethod
    def open(
        cls, listeners: Sequence[tuple[str, ListenTarget]], count: int, options: SocketOptions
    ) -> "WorkerSockets":
        """Open the sockets of `count` workers; they share those that the service manager opened.

        Args:
            listeners: each listener's name with an address to open or an open socket.
            count: the number of workers.
            options: of the TCP sockets.

        Raises:
            ListenError: one cannot be opened; it has the listener's name.
        """
        groups, files = [], []
        opened = open_listeners(listeners, options)
        for (name, target), socks in zip(listeners, opened, strict=True):
            for sock in socks:
                own = sock is not target
                try:
                    groups.append((name, reuseport_group(sock, count, options) if own else [sock]))
                except ListenError as error:
                    error.listener = name
                    raise
                files.append(SocketFile(bound_address(sock).path if own else ""))
        sockets = cls(groups, files, options)
        sockets.inherits = any(isinstance(target, socket.socket) for _, target in listeners)
        return sockets

    def pause(self, number: int) -> None:
        """Close a worker's sockets, so that the kernel gives its share to the other workers.

        Connections that wait there are reset: no process would accept them for a while.
        """
        for _, group in self._groups:
            index = number % len(group)
            if sum(sock.fileno() >= 0 for sock in group) > 1:  # the last one keeps the port
                group[index].close()

    def resume(self, number: int) -> None:
        """Open a worker's sockets again that `pause` has closed.

        Raises:
            ListenError: the system refuses.
        """
        for _, group in self._groups:
            index = number % len(group)
            if group[index].fileno() < 0:
                open_one = next(sock for sock in group if sock.fileno() >= 0)
                group[index] = add_to_group(open_one, self._options)

    def of_worker(self, number: int) -> Listeners:
        """Return a worker's sockets, and close all others in this process."""
        chosen: dict[str, list[socket.socket]] = {}
        for name, group in self._groups:
            kept = group[number % len(group)]
            chosen.setdefault(name, []).append(kept)
            for sock in group:
                if sock is not kept:
                    sock.close()
        return chosen

    def close(self) -> None:
        """Close all sockets; connections are refused once the workers have closed theirs too."""
        for _, group in self._groups:
            for sock in group:
                sock.close()
        files, self._files = self._files, ()
        for file in files:
            file.remove()
