"""A service from its start to its end: what it says, the signals it obeys, how it drains."""

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
"""The name of a door, and where one of its sockets listens, for each socket."""
INHERITS = "the service manager opened the sockets; addresses of the settings are not used"
_LOG = logging.getLogger("netjumper")


async def serve(
    service: Service[Sessions],
    options: DaemonOptions,
    start: Callable[[Listening], StartSummary],
    reload: Callable[[], object] = nothing_to_reload,
) -> None:
    """Serve until a signal comes, then drain; a second signal cuts off what is left.

    Args:
        service: not yet open.
        options: the logging, the grace period, and what names a setting in messages.
        start: what there is to tell once it listens.
        renew: takes the settings anew, on SIGHUP.

    Raises:
        ListenError: a listening address cannot be had; it says which setting that was.
    """
    stop = StopRequests(asyncio.get_running_loop())
    stop.by_signals()
    rich = _begin_to_serve(options)
    with handle_sighup(reload, stop.first.set), nonblocking_logging():
        with _blaming(options):
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
    """Serve as one of several processes, until the parent says so or is gone; then drain.

    Args:
        service: not yet open.
        grace: seconds that tunnels have to end.
        link: to the parent.
        renew: takes the settings anew, when the parent says so.
    """
    told = ParentLink(asyncio.get_running_loop(), link, reload)
    with nonblocking_logging():
        service.open()
        told.serves()
        await told.first.wait()
        await drain(service, grace, told.second)


def supervise(
    name: str,
    options: DaemonOptions,
    targets: Sequence[tuple[str, ListenTarget]],
    socket_options: SocketOptions,
    start: Callable[[Listening], StartSummary],
    worker: Work,
    reload: Callable[[], bool] = nothing_to_reload,
) -> None:
    """Have several processes serve until a signal comes, and be there for as long as they are.

    Args:
        name: the command's, for messages.
        options: the number of processes, and as in `serve`.
        targets: where they listen: for each listener its name, and its address or socket.
        socket_options: of the listening sockets.
        start: what there is to tell once they listen.
        worker: what each of them does.
        renew: takes the settings anew, on SIGHUP; where they are right, workers are told too.

    Raises:
        ListenError: a listening address cannot be had; it says which setting that was.
        NetjumperError: a process could not begin to serve.
    """
    rich = _begin_to_serve(options)
    with _blaming(options):
        entrance = WorkerSockets.open(targets, options.workers, socket_options)
    if entrance.inherits:
        _LOG.info(INHERITS)
    parent = Parent(name, options.workers, entrance, worker, options.grace_period, reload)

    def status() -> str:
        alive = counted(len(parent), "worker")
        where = _where(entrance.listening)
        return f"stopping: waiting for {alive}" if parent.stopping else f"{alive}; {where}"

    notifier = Notifier(parent.timers, os.environ, status)

    def serving() -> None:
        _announce(start(entrance.listening), rich)
        notifier.ready()

    try:
        with nonblocking_logging(thread=False):  # which could not be taken along into a worker
            parent.run(serving, notifier.stopping)
    finally:
        notifier.close()


@contextlib.contextmanager
def _blaming(options: DaemonOptions) -> Iterator[None]:
    """Have an address that cannot be had told with the setting that it stands in."""
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


async def drain(service: Service[Sessions], grace: float, hurry: asyncio.Event) -> None:
    """Stop accepting and wait for the tunnels, then cut off what is left.

    Args:
        service: is closed afterwards.
        grace: seconds to wait.
        hurry: ends the wait at once.
    """
    service.stop_accepting()
    waiting = service.sessions.waiting
    if waiting and grace:
        _LOG.info(
            "stopping: waiting up to %g s for %s; a second signal ends at once",
            grace,
            counted(waiting, "tunnel"),
        )
    else:
        _LOG.info("stopping: %s open", counted(waiting, "tunnel"))
    drained = asyncio.ensure_future(service.close(grace))
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait([drained, hurried], return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not drained.done():
        drained.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drained
        cut = await service.close()
    else:
        cut = drained.result()
    if cut:
        _LOG.warning("cut off %s", counted(cut, "tunnel"))


class _Status:
    """One line about a service, as the service manager shows it.

    Args:
        service: is open.
        stopped: set when it no longer is.
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
