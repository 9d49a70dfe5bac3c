"""Several processes that serve at the same addresses, and the parent that looks after them.

The parent opens the sockets, forks, and serves nobody; it has no event loop and no thread, so a
process that ended can be forked anew at any time. A worker has a link to it, a socket pair: a byte
says that the worker serves, or what it should do, and the end of the stream is the other side's
death, however it came. Unlike a signal, a byte waits for a worker that is only just starting.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from netjumper.daemon import process
from netjumper.daemon.sighup import Terminal, nothing_to_reload, unblocked
from netjumper.daemon.timers import Timers
from netjumper.daemon.worker_sockets import Listeners, WorkerSockets
from netjumper.errors import NetjumperError

Work = Callable[[Listeners, socket.socket], None]
"""Serves with these sockets as the link says, to the end."""

READY, STOP, RELOAD = b"1", b"0", b"2"
"""What a worker says, and what it is told: once to stop, twice to stop at once; to take its
settings anew."""
STABLE_AFTER_S = 10.0
"""Seconds that a worker lives at least where nothing is wrong with it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until the next one where it did not; they double with each that follows."""
PATIENCE = 5.0
"""Seconds more than it may take that a worker has for ending."""

_STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})
_LOG = logging.getLogger("netjumper")


@dataclass(slots=True, eq=False)
class _Worker:
    """One process. Its number is also that of who takes its place."""

    number: int
    pid: int
    link: socket.socket
    since: float
    serves: bool = False


class Parent:
    """Looks after workers until it is told to stop.

    Args:
        name: the command's, for messages.
        count: how many workers there are.
        entrance: where they listen.
        work: what each of them does.
        grace: seconds that they have for stopping.
        renew: takes the settings anew, on SIGHUP, and returns whether they are right: then each
            worker is told to do so too. It is cut off where the end is asked for meanwhile.
    """

    def __init__(
        self,
        name: str,
        count: int,
        entrance: WorkerSockets,
        work: Work,
        grace: float,
        reload: Callable[[], bool] = nothing_to_reload,
    ) -> None:
        self.timers = Timers()
        self.stopping = False
        self._name = name
        self._count = count
        self._entrance = entrance
        self._work = work
        self._grace = grace
        self._reload_settings = reload
        self._workers: dict[int, _Worker] = {}
        self._pauses = [0.0] * count
        self._all_served = False
        self._problem = ""
        self._terminal = Terminal()
        self._told_to_stop = False
        self._renewing = False

    def __len__(self) -> int:
        return len(self._workers)

    def run(self, serving: Callable[[], None], stopping: Callable[[], None]) -> None:
        """Start the workers and look after them until all have ended.

        Args:
            serving: called once, when all serve.
            stopping: called once, when they are told to stop.

        Raises:
            NetjumperError: one of them could not begin to serve.
        """
        with _signals((*_STOPPING, signal.SIGHUP), self._on_signal) as told, unblocked():
            for number in range(self._count):
                self._start(number)
            while self._workers or not self.stopping:
                for heard in self._wait(told):
                    if heard is None:
                        self._signalled(told, stopping)
                    else:
                        self._heard(heard)
                if not (self._all_served or self.stopping) and self._all_serve:
                    self._all_served = True
                    serving()
        if self._problem:
            raise NetjumperError(self._problem)

    @property
    def _all_serve(self) -> bool:
        return len(self) == self._count and all(it.serves for it in self._workers.values())

    def _wait(self, told: socket.socket) -> Iterator[_Worker | None]:
        """Yield who has something to say; None is a signal, and comes first."""
        timeout = self.timers.run()
        poll = select.poll()
        poll.register(told, select.POLLIN)
        by_link = {it.link.fileno(): it for it in self._workers.values()}
        for link in by_link:
            poll.register(link, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if timeout is None else 1000 * timeout + 1)}
        if told.fileno() in ready:
            yield None
        yield from (worker for link, worker in by_link.items() if link in ready)

    def _signalled(self, told: socket.socket, stopping: Callable[[], None]) -> None:
        numbers = told.recv(64)
        closed = signal.SIGHUP in numbers and self._terminal.is_gone and not self.stopping
        for _ in range(closed + sum(number in _STOPPING for number in numbers)):
            first = not self.stopping
            self._stop()
            if first:
                stopping()
        if signal.SIGHUP in numbers and not self.stopping:
            self._reload()

    def _on_signal(self, number: int, _frame: object) -> None:
        """Cut off what takes long: making keys of secrets, a pipe that nothing comes out of."""
        if number in _STOPPING:
            self._told_to_stop = True
            if self._renewing:
                self._renewing = False
                raise _Stopped

    def _reload(self) -> None:
        try:
            self._renewing = True
            taken = not self._told_to_stop and self._reload_settings()
            self._renewing = False
        except _Stopped:
            return  # the signal itself is read next
        for worker in self._workers.values() if taken else ():
            with contextlib.suppress(OSError):  # it ended meanwhile
                worker.link.send(RELOAD, socket.MSG_DONTWAIT)

    def _stop(self) -> None:
        """Tell all to stop, or the second time to stop at once."""
        patience = PATIENCE if self.stopping else self._grace + PATIENCE
        self.stopping = True
        self._entrance.close()  # first: with a worker that says it stops, nobody listens any more
        for worker in self._workers.values():
            with contextlib.suppress(OSError):  # it ended meanwhile
                worker.link.send(STOP)
        self.timers.call_later(patience, self._kill)

    def _kill(self) -> None:
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGKILL)

    def _heard(self, worker: _Worker) -> None:
        with contextlib.suppress(ConnectionResetError):
            if worker.link.recv(64):
                worker.serves = True
                return
        self._ended(worker)

    def _ended(self, worker: _Worker) -> None:
        del self._workers[worker.number]
        worker.link.close()
        _, status = os.waitpid(worker.pid, 0)
        if time.monotonic() - worker.since >= STABLE_AFTER_S:
            self._pauses[worker.number] = 0.0
        self._restart_later(worker.number, f"worker process {worker.pid} {_how(status)}")

    def _restart_later(self, number: int, why: str) -> None:
        """Have another process take the place of one that there is not."""
        if self.stopping:
            return
        if not self._all_served:
            self._problem = f"{why} before it served"
            self._stop()
            self._stop()
            return
        pause = self._pauses[number]
        self._pauses[number] = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
        if pause:
            self._entrance.pause(number)
        when = f" in {pause:g} s" if pause else ""
        _LOG.warning("%s; another takes its place%s", why, when)
        self.timers.call_later(pause, partial(self._start, number))

    def _start(self, number: int) -> None:
        if self.stopping:
            return
        try:
            self._entrance.resume(number)
            ours, theirs = socket.socketpair()
        except OSError as error:
            self._not_started(number, error)
            return
        _flush_output()
        # No signal may reach the new process as if it were this one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOPPING, signal.SIGHUP))
        try:
            pid = os.fork()
            if not pid:
                ours.close()
                self._be_worker(number, theirs, before)
        except OSError as error:
            ours.close()
            self._not_started(number, error)
        else:
            self._workers[number] = _Worker(number, pid, ours, time.monotonic())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def _not_started(self, number: int, error: OSError) -> None:
        self._restart_later(
            number, f"a worker process could not be started: {error.strerror or error}"
        )

    def _serve(self, listeners: Listeners, link: socket.socket) -> int:
        self._work(listeners, link)
        return process.OK

    def _be_worker(self, number: int, link: socket.socket, mask: Iterable[int]) -> NoReturn:
        """Do what a worker does; nothing of what the parent has yet to do is done here."""
        code = process.FAILED
        try:
            signal.set_wakeup_fd(-1)
            # A terminal's Ctrl-C, and its end, reach all; the parent tells us.
            for told in (*_STOPPING, signal.SIGHUP):
                signal.signal(told, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for other in self._workers.values():
                other.link.close()
            listeners = self._entrance.of_worker(number)
            code = process.run(self._name, partial(self._serve, listeners, link))
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it is
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)


class _Stopped(BaseException):
    """The end was asked for; no `except Exception` on the way is to keep that back."""


def _flush_output() -> None:
    """Write out what is buffered: a fork copies the buffers, and each copy would be written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the end of the process reports it
            stream.flush()


def _how(status: int) -> str:
    """Return how a process ended, for people."""
    code = os.waitstatus_to_exitcode(status)
    return f"ended with status {code}" if code >= 0 else f"was killed by signal {-code}"


@contextlib.contextmanager
def _signals(
    numbers: Iterable[int], noticed: Callable[[int, object], None]
) -> Iterator[socket.socket]:
    """Give a socket that has a byte for each of these signals: its number.

    Args:
        numbers: the signals.
        noticed: called wherever the process is when one comes; the byte is there by then.
    """
    told, wakeup = socket.socketpair()
    with told, wakeup:
        wakeup.setblocking(False)
        before = {number: signal.signal(number, noticed) for number in numbers}
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        try:
            yield told
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
