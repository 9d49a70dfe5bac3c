"""A service from its start to its end: what it says, the signals it obeys, how it drains."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable

from netjumper.cli import process
from netjumper.cli.logs import set_up
from netjumper.cli.notify import Notifier
from netjumper.cli.sources import Loaded
from netjumper.console import DOORS, RichFormatter, Start, printable
from netjumper.net.listener import ListenError
from netjumper.service import Service
from netjumper.settings import BridgeSettings, ServerSettings

AnyLoaded = Loaded[ServerSettings] | Loaded[BridgeSettings]
_LOG = logging.getLogger("netjumper")


async def serve(
    service: Service,
    loaded: AnyLoaded,
    start: Callable[[Service], Start],
) -> None:
    """Serve until a signal comes, then drain; a second signal cuts off what is left.

    Args:
        service: not yet open.
        loaded: the settings, for the logging, the grace period, and the place of a mistake.
        start: what there is to tell once it listens.

    Raises:
        ListenError: a listening address cannot be had; it says which setting that was.
    """
    stop = _Signals(asyncio.get_running_loop())
    process.raise_descriptor_limit()
    rich = begin(loaded)
    try:
        service.open()
    except ListenError as error:
        key = "listen" if error.door == "netjumper" else error.door
        raise ListenError(f"{loaded.origin(key)}: {error}") from None
    if service.inherits:
        _LOG.info("the service manager opened the sockets; addresses of the settings are not used")
    _announce(start(service), rich)
    notifier = Notifier(asyncio.get_running_loop(), os.environ, _Status(service, stop.first))
    try:
        notifier.ready()
        await stop.first.wait()
        notifier.stopping()
        await drain(service, loaded.settings.grace_period, stop.second)
    finally:
        notifier.close()


def tell_valid(loaded: AnyLoaded) -> None:
    """Do what `--check` does once the settings were found to be right."""
    begin(loaded)
    process.say("settings are valid")


def begin(loaded: AnyLoaded) -> RichFormatter | None:
    """Set the logging up and tell what is doubtful about the settings."""
    rich = set_up(loaded.settings.log_level, loaded.settings.log_format)
    for warning in loaded.warnings:
        _LOG.warning("%s", warning)
    return rich


async def drain(service: Service, grace: float, hurry: asyncio.Event) -> None:
    """Stop accepting and wait for the tunnels, then cut off what is left.

    Args:
        service: is closed afterwards.
        grace: seconds to wait.
        hurry: ends the wait at once.
    """
    service.stop_accepting()
    waiting = service.tunnels.waiting
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

    def __init__(self, service: Service, stopped: asyncio.Event) -> None:
        self._tunnels = service.tunnels
        self._stopped = stopped
        self._where = ", ".join(
            f"{DOORS[name]} on {printable(address)}" for name, address in service.listening
        )

    def __call__(self) -> str:
        open_now = counted(self._tunnels.waiting, "tunnel")
        if self._stopped.is_set():
            return f"stopping: waiting for {open_now}"
        return f"{open_now}; listening for {self._where}"


class _Signals:
    """Counts the signals that ask for an end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._told)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._told))

    def _told(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def _announce(start: Start, rich: RichFormatter | None) -> None:
    if rich is None:
        for line in start.lines():
            _LOG.info("%s", line)
    elif _LOG.isEnabledFor(logging.INFO):
        with contextlib.suppress(OSError):
            sys.stderr.write(start.panel(rich) + "\n")
            sys.stderr.flush()


def counted(number: int, noun: str) -> str:
    """Return `1 tunnel`, `2 tunnels`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
