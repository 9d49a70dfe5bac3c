"""A service from its start to its end: start messages, signals, and draining."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence

from netjumper.addressing.listeners import LISTENERS
from netjumper.daemon.descriptors import descriptor_warning, raise_descriptor_limit
from netjumper.daemon.sd_notify import Notifier
from netjumper.daemon.sighup import handle_sighup, nothing_to_reload
from netjumper.daemon.startup import DaemonOptions, begin
from netjumper.daemon.stop_requests import ParentLink, StopRequests
from netjumper.daemon.supervisor import Parent, Work
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.logs.handler import nonblocking_logging
from netjumper.logs.terminal import RichFormatter, StartSummary
from netjumper.net.listening_sockets import ListenError, ListenTarget
from netjumper.net.socket_options import SocketOptions
from netjumper.sessions.service import Service, Sessions
from netjumper.text import counted, printable

Listening = Sequence[tuple[str, str]]
"""For each listening socket, the name of its listener and its address."""
INHERITS = "the service manager opened the sockets; addresses of the settings are not used"
_LOG = logging.getLogger("netjumper")


async def serve(
    service: Service[Sessions],
    options: DaemonOptions,
    start: Callable[[Listening], StartSummary],
    reload: Callable[[], object] = nothing_to_reload,
) -> None:
    """Serve until a signal comes, then drain; a second signal aborts the open tunnels.

    Args:
        service: not yet open.
        options: the settings of the process.
        start: returns what to print once the service listens.
        reload: reloads the settings, on SIGHUP.

    Raises:
        ListenError: the service cannot listen at an address; it names the setting.
    """
    stop = StopRequests(asyncio.get_running_loop())
    stop.by_signals()
    rich = _begin_to_serve(options)
    with handle_sighup(reload, stop.first.set), nonblocking_logging():
        with _naming_the_setting(options):
            service.open()
        if service.inherits:
            _LOG.info(INHERITS)
        _announce(start(service.listening), rich)
        notifier = Notifier(asyncio.get_running_loop(), os.environ, _Status(service, stop.first))
        try:
            notifier.ready()
            await stop.first.wait()
            notifier.stopping()
            await drain(service, options.grace_period, stop.second)
        finally:
            notifier.close()


async def work(
    service: Service[Sessions],
    grace: float,
    link: socket.socket,
    reload: Callable[[], object] = nothing_to_reload,
) -> None:
    """Serve as a worker until the parent says to stop, or is gone; then drain.

    Args:
        service: not yet open.
        grace: seconds that tunnels have to end.
        link: the link to the parent (`netjumper.daemon.supervisor`).
        reload: reloads the settings, when the parent says so.
    """
    parent = ParentLink(asyncio.get_running_loop(), link, reload)
    with nonblocking_logging():
        service.open()
        parent.report_ready()
        await parent.first.wait()
        await drain(service, grace, parent.second)


def supervise(
    name: str,
    options: DaemonOptions,
    targets: Sequence[tuple[str, ListenTarget]],
    socket_options: SocketOptions,
    start: Callable[[Listening], StartSummary],
    worker: Work,
    reload: Callable[[], bool] = nothing_to_reload,
) -> None:
    """Run workers that serve until a signal comes; return when all have ended.

    Args:
        name: the command's name, for messages.
        options: the settings of the process, with the number of workers.
        targets: each listener's name with its address, or a socket that is open.
        socket_options: of the listening sockets.
        start: returns what to print once the workers listen.
        worker: what each worker does.
        reload: reloads the settings on SIGHUP and returns whether they are valid; then the workers
            reload them too.

    Raises:
        ListenError: an address cannot be listened at; it names the setting.
        NetjumperError: a worker could not begin to serve.
    """
    rich = _begin_to_serve(options)
    with _naming_the_setting(options):
        sockets = WorkerSockets.open(targets, options.workers, socket_options)
    if sockets.inherits:
        _LOG.info(INHERITS)
    parent = Parent(name, options.workers, sockets, worker, options.grace_period, reload)

    def status() -> str:
        alive = counted(len(parent), "worker")
        where = _where(sockets.listening)
        return f"stopping: waiting for {alive}" if parent.stopping else f"{alive}; {where}"

    notifier = Notifier(parent.timers, os.environ, status)

    def serving() -> None:
        _announce(start(sockets.listening), rich)
        notifier.ready()

    try:
        with nonblocking_logging(thread=False):  # a thread does not survive a fork
            parent.run(serving, notifier.stopping)
    finally:
        notifier.close()


@contextlib.contextmanager
def _naming_the_setting(options: DaemonOptions) -> Iterator[None]:
    """Add the name of the setting to the error if an address cannot be listened at."""
    try:
        yield
    except ListenError as error:
        key = LISTENERS[error.listener].key
        raise ListenError(f"{options.origin(key)}: {error}") from None


def _begin_to_serve(options: DaemonOptions) -> RichFormatter | None:
    raise_descriptor_limit()
    rich = begin(options)
    if few := descriptor_warning(options.descriptors_per_tunnel):
        _LOG.warning("%s", few)
    return rich


async def drain(service: Service[Sessions], grace: float, abort: asyncio.Event) -> None:
    """Stop accepting, wait for the tunnels, and abort the rest.

    Args:
        service: is closed afterwards.
        grace: seconds to wait.
        abort: ends the wait when it is set.
    """
    service.stop_accepting()
    waiting = service.sessions.waiting
    if waiting and grace:
        _LOG.info(
            "stopping: waiting up to %g s for %s; a second signal aborts them",
            grace,
            counted(waiting, "tunnel"),
        )
    else:
        _LOG.info("stopping: %s open", counted(waiting, "tunnel"))
    drained = asyncio.ensure_future(service.close(grace))
    aborted = asyncio.ensure_future(abort.wait())
    await asyncio.wait([drained, aborted], return_when=asyncio.FIRST_COMPLETED)
    aborted.cancel()
    if not drained.done():
        drained.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drained
        rest = await service.close()
    else:
        rest = drained.result()
    if rest:
        _LOG.warning("aborted %s", counted(rest, "tunnel"))


class _Status:
    """Describes the state of a service in one line, for the service manager.

    Args:
        service: is open.
        stopped: is set when the service stops.
    """

    def __init__(self, service: Service[Sessions], stopped: asyncio.Event) -> None:
        self._tunnels = service.sessions
        self._stopped = stopped
        self._where = _where(service.listening)

    def __call__(self) -> str:
        open_now = counted(self._tunnels.waiting, "tunnel")
        if self._stopped.is_set():
            return f"stopping: waiting for {open_now}"
        return f"{open_now}; {self._where}"


def _where(listening: Listening) -> str:
    places = (f"{LISTENERS[name].label} on {printable(address)}" for name, address in listening)
    return f"listening for {', '.join(places)}"


def _announce(start: StartSummary, rich: RichFormatter | None) -> None:
    if rich is None:
        for line in start.lines():
            _LOG.info("%s", line)
    else:
        _LOG.info(start)
