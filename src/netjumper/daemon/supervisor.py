"""The supervisor of several worker processes that serve at the same addresses.

The parent opens the sockets and forks; it serves no connection. It has no event loop and no thread,
so it can fork again at any time. A socket pair links it to each worker. A byte on the link reports
that the worker serves, or is a command for it; the end of the stream means that the other process
has died. Unlike a signal, a byte is not lost on a worker that is still starting.
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
from netjumper.daemon.orphans import reap_orphans
from netjumper.daemon.sighup import Terminal, nothing_to_reload, unblocked
from netjumper.daemon.timers import Timers
from netjumper.daemon.worker_sockets import Listeners, WorkerSockets
from netjumper.errors import NetjumperError

Work = Callable[[Listeners, socket.socket], None]
"""Serves with these sockets until the link says to stop."""

READY, STOP, RELOAD = b"1", b"0", b"2"
"""The bytes on a link: a worker serves; it must stop (sent twice: abort its tunnels); it must
reload its settings."""
STABLE_AFTER_S = 10.0
"""Seconds; a worker that lived for at least this long is replaced at once."""
FIRST_RESTART_PAUSE_S, MAX_RESTART_PAUSE_S = 0.5, 30.0
"""Seconds until a worker that lived for less is replaced: doubled each time, up to the maximum."""
KILL_DELAY_S = 5.0
"""Seconds after the grace period until a worker that has not ended is killed."""

_STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_LOG = logging.getLogger("netjumper")


@dataclass(slots=True, eq=False)
class _Worker:
    """One process. The process that replaces it has the same number."""

    number: int
    pid: int
    link: socket.socket
    started: float
    serves: bool = False


class Parent:
    """Supervises workers until it receives a signal to stop.

    Args:
        name: the command's name, for messages.
        count: the number of workers.
        sockets: the listening sockets of the workers.
        work: what each worker does.
        grace: seconds that tunnels have to end.
        reload: reloads the settings on SIGHUP and returns whether they are valid; then each worker
            reloads them too. A signal to stop interrupts it.
    """

    def __init__(
        self,
        name: str,
        count: int,
        sockets: WorkerSockets,
        work: Work,
        grace: float,
        reload: Callable[[], bool] = nothing_to_reload,
    ) -> None:
        self.timers = Timers()
        self.stopping = False
        self._name = name
        self._count = count
        self._sockets = sockets
        self._work = work
        self._grace = grace
        self._reload_settings = reload
        self._workers: dict[int, _Worker] = {}
        self._pauses = [0.0] * count
        self._all_served = False
        self._problem = ""
        self._terminal = Terminal()
        self._stop_requested = False
        self._reloading = False

    def __len__(self) -> int:
        return len(self._workers)

    def run(self, serving: Callable[[], None], stopping: Callable[[], None]) -> None:
        """Start the workers and supervise them until all have ended.

        Args:
            serving: called once, when all serve.
            stopping: called once, when they must stop.

        Raises:
            NetjumperError: a worker could not begin to serve.
        """
        with _signals((*_STOP_SIGNALS, signal.SIGHUP), self._on_signal) as signals, unblocked():
            for number in range(self._count):
                self._start(number)
            reap_orphans(self.timers, lambda: [it.pid for it in self._workers.values()])
            while self._workers or not self.stopping:
                for worker in self._wait(signals):
                    if worker is None:
                        self._handle_signals(signals, stopping)
                    else:
                        self._read_link(worker)
                if not (self._all_served or self.stopping) and self._all_serve:
                    self._all_served = True
                    serving()
        if self._problem:
            raise NetjumperError(self._problem)

    @property
    def _all_serve(self) -> bool:
        return len(self) == self._count and all(it.serves for it in self._workers.values())

    def _wait(self, signals: socket.socket) -> Iterator[_Worker | None]:
        """Wait, and yield the workers whose link is readable; None is a signal, and comes first."""
        timeout = self.timers.run()
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        by_link = {it.link.fileno(): it for it in self._workers.values()}
        for link in by_link:
            poll.register(link, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if timeout is None else 1000 * timeout + 1)}
        if signals.fileno() in ready:
            yield None
        yield from (worker for link, worker in by_link.items() if link in ready)

    def _handle_signals(self, signals: socket.socket, stopping: Callable[[], None]) -> None:
        numbers = signals.recv(64)
        closed = signal.SIGHUP in numbers and self._terminal.is_gone and not self.stopping
        for _ in range(closed + sum(number in _STOP_SIGNALS for number in numbers)):
            first = not self.stopping
            self._stop()
            if first:
                stopping()
        if signal.SIGHUP in numbers and not self.stopping:
            self._reload()

    def _on_signal(self, number: int, _frame: object) -> None:
        """Interrupt a reload that takes long: deriving keys from secrets, or reading a pipe."""
        if number in _STOP_SIGNALS:
            self._stop_requested = True
            if self._reloading:
                self._reloading = False
                raise _Stopped

    def _reload(self) -> None:
        try:
            self._reloading = True
            reloaded = not self._stop_requested and self._reload_settings()
            self._reloading = False
        except _Stopped:
            return  # `_handle_signals` reads the signal next
        for worker in self._workers.values() if reloaded else ():
            with contextlib.suppress(OSError):  # it has ended
                worker.link.send(RELOAD, socket.MSG_DONTWAIT)

    def _stop(self) -> None:
        """Stop all workers; the second call aborts their tunnels."""
        kill_after = KILL_DELAY_S if self.stopping else self._grace + KILL_DELAY_S
        self.stopping = True
        self._sockets.close()  # first: when a worker reports that it stops, no socket may listen
        for worker in self._workers.values():
            with contextlib.suppress(OSError):  # it has ended
                worker.link.send(STOP)
        self.timers.call_later(kill_after, self._kill)

    def _kill(self) -> None:
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGKILL)

    def _read_link(self, worker: _Worker) -> None:
        """Read the report that a worker serves, or the end of the link: it has died."""
        with contextlib.suppress(ConnectionResetError):
            if worker.link.recv(64):
                worker.serves = True
                return
        self._ended(worker)

    def _ended(self, worker: _Worker) -> None:
        del self._workers[worker.number]
        worker.link.close()
        _, status = os.waitpid(worker.pid, 0)
        if time.monotonic() - worker.started >= STABLE_AFTER_S:
            self._pauses[worker.number] = 0.0
        self._restart_later(worker.number, f"worker {worker.pid} {_exit_reason(status)}")

    def _restart_later(self, number: int, reason: str) -> None:
        """Replace a worker that ended or could not be started."""
        if self.stopping:
            return
        if not self._all_served:
            self._problem = f"{reason} before it served"
            self._stop()
            self._stop()
            return
        pause = self._pauses[number]
        self._pauses[number] = min(max(2 * pause, FIRST_RESTART_PAUSE_S), MAX_RESTART_PAUSE_S)
        if pause:
            self._sockets.pause(number)
        when = f"in {pause:g} s" if pause else "now"
        _LOG.warning("%s; restarting %s", reason, when)
        self.timers.call_later(pause, partial(self._start, number))

    def _start(self, number: int) -> None:
        if self.stopping:
            return
        try:
            self._sockets.resume(number)
            parent_end, worker_end = socket.socketpair()
        except OSError as error:
            self._not_started(number, error)
            return
        _flush_output()
        # No signal may reach the new process as if it were this one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOP_SIGNALS, signal.SIGHUP))
        try:
            pid = os.fork()
            if not pid:
                parent_end.close()
                self._run_worker(number, worker_end, before)
        except OSError as error:
            parent_end.close()
            self._not_started(number, error)
        else:
            self._workers[number] = _Worker(number, pid, parent_end, time.monotonic())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            worker_end.close()

    def _not_started(self, number: int, error: OSError) -> None:
        self._restart_later(number, f"cannot start a worker: {error.strerror or error}")

    def _serve(self, listeners: Listeners, link: socket.socket) -> int:
        self._work(listeners, link)
        return process.OK

    def _run_worker(self, number: int, link: socket.socket, mask: Iterable[int]) -> NoReturn:
        """Serve in the new process and end it; it must not return into the parent's code."""
        code = process.FAILED
        try:
            signal.set_wakeup_fd(-1)
            # A terminal sends Ctrl-C and its hang-up to all processes; the parent passes them on.
            for ignored in (*_STOP_SIGNALS, signal.SIGHUP):
                signal.signal(ignored, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for other in self._workers.values():
                other.link.close()
            listeners = self._sockets.of_worker(number)
            code = process.run(self._name, partial(self._serve, listeners, link))
        except BaseException:  # noqa: BLE001 - the process ends here in any case
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)


class _Stopped(BaseException):
    """A signal to stop interrupts a reload; not an `Exception`, so that no handler catches it."""


def _flush_output() -> None:
    """Write out what is buffered: a fork copies the buffers, and each copy would be written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the end of the process reports it
            stream.flush()


def _exit_reason(status: int) -> str:
    """Return how a process ended, for people."""
    code = os.waitstatus_to_exitcode(status)
    return f"exited with status {code}" if code >= 0 else f"was killed by signal {-code}"


@contextlib.contextmanager
def _signals(
    numbers: Iterable[int], on_signal: Callable[[int, object], None]
) -> Iterator[socket.socket]:
    """Yield a socket that receives one byte, the signal's number, for each of these signals.

    Args:
        numbers: the signals.
        on_signal: called at once when a signal comes; its byte can be read by then.
    """
    receiver, wakeup = socket.socketpair()
    with receiver, wakeup:
        wakeup.setblocking(False)
        before = {number: signal.signal(number, on_signal) for number in numbers}
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
