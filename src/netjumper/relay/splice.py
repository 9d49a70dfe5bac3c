"""Kernel pipes to splice through, and one buffer to copy through, shared by a loop's relays."""

import contextlib
import os
import sys

if sys.platform == "linux":
    import fcntl

BUFFER_SIZE = 256 * 1024
"""Bytes of the copy buffer."""
PIPE_SIZE = 1024 * 1024
"""Bytes that a pipe holds."""
MAX_FREE_PIPES = 16
"""Number of idle pipes that are kept for the next bulk transfer."""

CAN_SPLICE = sys.platform == "linux"


def splice(source: int, sink: int, limit: int) -> int:
    """Move up to `limit` bytes between a pipe and a socket without blocking (splice(2)).

    Raises:
        BlockingIOError: nothing can be moved now.
        OSError: the connection is lost, or (EINVAL) this kind of socket cannot be spliced.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    return os.splice(source, sink, limit, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)


class Pipe:
    """A kernel pipe that is empty whenever it is not in use."""

    __slots__ = ("read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # The kernel refuses beyond the user's share of pipe memory; a small pipe works, too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class RelayMemory:
    """The copy buffer and the idle pipes that the relays of one loop share.

    Args:
        splice: whether to splice if the platform can.
    """

    __slots__ = ("_free", "buffer", "splice")

    def __init__(self, *, splice: bool = True) -> None:
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.splice = splice and CAN_SPLICE
        self._free: list[Pipe] = []

    def acquire_pipe(self) -> Pipe | None:
        """Return an empty pipe, or None if no descriptor is left for one."""
        if self._free:
            return self._free.pop()
        try:
            return Pipe()
        except OSError:
            return None

    def return_pipe(self, pipe: Pipe) -> None:
        """Keep an empty pipe for the next transfer, or close it if there are enough."""
        if len(self._free) < MAX_FREE_PIPES:
            self._free.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Close the idle pipes."""
        while self._free:
            self._free.pop().close()
