"""Runs a service in this process or in workers, from the start messages to the drain."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence

from netjumper.addressing.listeners import LISTENERS
from netjumper.daemon.descriptors import descriptor_warning, raise_descriptor_limit
from netjumper.daemon.drain import drain
from netjumper.daemon.orphans import reap_orphans
from netjumper.daemon.sd_notify import Notifier
from netjumper.daemon.sighup import handle_sighup, ignore_user_signals, nothing_to_reload
from netjumper.daemon.startup import DaemonOptions, begin
from netjumper.daemon.status import Listening, StatusLine
from netjumper.daemon.stop_requests import ParentLink, StopRequests
from netjumper.daemon.supervisor import Parent, Work
from netjumper.daemon.worker_sockets import WorkerSockets
from netjumper.logs.handler import nonblocking_logging
from netjumper.logs.terminal import RichFormatter, StartSummary
from netjumper.net.listening_sockets import ListenError, ListenTarget
from netjumper.net.socket_options import SocketOptions
from netjumper.sessions.service import Service, Sessions
from netjumper.text import counted

_INHERITED = "the service manager opened the sockets; addresses of the settings are not used"
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
    reap_orphans(asyncio.get_running_loop())
    rich = _begin_to_serve(options)
    with handle_sighup(reload, stop.first.set), nonblocking_logging():
        with _naming_the_setting(options):
            service.open()
        if service.inherits:
            _LOG.info(_INHERITED)
        _log_start(start(service.listening), rich)
        status = StatusLine(
            service.listening,
            in_use=lambda: counted(service.sessions.waiting, "tunnel"),
            is_stopping=stop.first.is_set,
        )
        notifier = Notifier(asyncio.get_running_loop(), os.environ, status)
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
        _LOG.info(_INHERITED)
    parent = Parent(name, options.workers, sockets, worker, options.grace_period, reload)
    status = StatusLine(
        sockets.listening,
        in_use=lambda: counted(len(parent), "worker"),
        is_stopping=lambda: parent.stopping,
    )
    notifier = Notifier(parent.timers, os.environ, status)

    def serving() -> None:
        _log_start(start(sockets.listening), rich)
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
    ignore_user_signals()
    raise_descriptor_limit()
    rich = begin(options)
    if warning := descriptor_warning(options.descriptors_per_tunnel):
        _LOG.warning("%s", warning)
    return rich


def _log_start(start: StartSummary, rich: RichFormatter | None) -> None:
    """Log the start: as a panel on a terminal, else line by line."""
    if rich is None:
        for line in start.lines():
            _LOG.info("%s", line)
    else:
        _LOG.info(start)
