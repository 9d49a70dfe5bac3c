"""Kernel pipes to splice through, and the one buffer to copy through, shared by all relays."""

import contextlib
import os
import sys

if sys.platform == "linux":
    import fcntl

BUFFER_SIZE = 256 * 1024
PIPE_SIZE = 1024 * 1024
FREE_PIPES = 16
"""How many idle pipes are kept for the next bulk transfer."""

CAN_SPLICE = sys.platform == "linux"


def splice(source: int, sink: int, limit: int) -> int:
    """Move up to `limit` bytes between a pipe and a socket without blocking (splice(2)).

    Raises:
        BlockingIOError: nothing can be moved now.
        OSError: the connection is lost; EINVAL, this kind of socket cannot be spliced.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    return os.splice(source, sink, limit, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)


class Pipe:
    """A kernel pipe that is empty whenever it is not in use."""

    __slots__ = ("read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Over the user's share of pipe memory the kernel refuses; a small pipe works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class RelayMemory:
    """What the relays of one loop share: the copy buffer and the idle pipes.

    Args:
        splice: whether to splice where the platform can.
    """

    __slots__ = ("_free", "buffer", "splice")

    def __init__(self, *, splice: bool = True) -> None:
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.splice = splice and CAN_SPLICE
        self._free: list[Pipe] = []

    def take_pipe(self) -> Pipe | None:
        """Return an empty pipe, or None when no descriptor is left for one."""
        if self._free:
            return self._free.pop()
        try:
            return Pipe()
        except OSError:
            return None

    def give_back(self, pipe: Pipe) -> None:
        """Take an empty pipe back."""
        if len(self._free) < FREE_PIPES:
            self._free.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Close the idle pipes."""
        while self._free:
            self._free.pop().close()
