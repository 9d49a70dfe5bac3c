"""The process around a service: its event loop, its signals, its streams, its exit code."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from netjumper.cli import INTERRUPTED
from netjumper.cli.logs import PRIORITY, is_journal, set_up
from netjumper.cli.notify import Notifier
from netjumper.cli.sources import Loaded
from netjumper.console import DOORS, RichFormatter, Start, printable
from netjumper.errors import NetjumperError
from netjumper.net.listener import ListenError
from netjumper.service import Service
from netjumper.settings import BridgeSettings, ServerSettings, SettingsError

OK = 0
FAILED = 1
USAGE = 2


class OutputLost(NetjumperError):
    """What was asked for could not be written."""


class CommandFailed(NetjumperError):
    """What was asked for failed, and an exit code of its own says so.

    Args:
        message: one line for people.
        code: the exit code.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


ResultT = TypeVar("ResultT")
AnyLoaded = Loaded[ServerSettings] | Loaded[BridgeSettings]
_LOG = logging.getLogger("netjumper")


def run(name: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit code; what goes wrong becomes a line, not a traceback.

    Args:
        name: stands before each line.
        command: does it, and returns the exit code.
    """
    _have_standard_streams()
    code = OK
    try:
        code = command()
    except SystemExit as end:  # --help and --version
        code = end.code if isinstance(end.code, int) else OK
    except SettingsError as error:
        _complain(name, *error.lines)
        code = USAGE
    except CommandFailed as error:
        _complain(name, str(error))
        code = error.code
    except NetjumperError as error:
        _complain(name, str(error))
        code = FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    return code if _flushed() else code or FAILED


def run_loop(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `main` on the fastest loop there is, and return what it returns."""
    runner = asyncio.Runner(loop_factory=loop_factory())
    try:
        runner.get_loop()
    except OSError as error:
        main.close()
        raise NetjumperError(f"cannot start: {error.strerror}") from None
    with runner:
        return runner.run(main)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: uvloop where it is installed, else the selector loop.

    Windows' default loop cannot watch sockets, so it is named even there.
    """
    try:
        factory: Callable[[], asyncio.AbstractEventLoop]
        factory = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return asyncio.SelectorEventLoop
    return factory


def raise_descriptor_limit() -> int | None:
    """Allow as many open descriptors as the system lets us have; a tunnel takes two.

    Returns:
        The limit that there was; None where there is no such limit.
    """
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return int(soft)


@contextlib.contextmanager
def descriptor_limit(limit: int | None) -> Iterator[None]:
    """Have what is started meanwhile get another limit than ours; None leaves it."""
    if limit is None:
        yield
        return
    resource = importlib.import_module("resource")
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, ours[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, ours)


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
    raise_descriptor_limit()
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


def tell_valid(loaded: AnyLoaded) -> None:
    """Do what `--check` does once the settings were found to be right."""
    begin(loaded)
    say("settings are valid")


def say(line: str) -> None:
    """Write a line to standard output.

    Raises:
        OutputLost: it did not get there.
    """
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError as error:
        raise OutputLost(f"cannot write to standard output: {error.strerror}") from None


def counted(number: int, noun: str) -> str:
    """Return `1 tunnel`, `2 tunnels`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def begin(loaded: AnyLoaded) -> RichFormatter | None:
    """Set the logging up and tell what is doubtful about the settings."""
    rich = set_up(loaded.settings.log_level, loaded.settings.log_format)
    for warning in loaded.warnings:
        _LOG.warning("%s", warning)
    return rich


def _announce(start: Start, rich: RichFormatter | None) -> None:
    if rich is None:
        for line in start.lines():
            _LOG.info("%s", line)
    elif _LOG.isEnabledFor(logging.INFO):
        with contextlib.suppress(OSError):
            sys.stderr.write(start.panel(rich) + "\n")
            sys.stderr.flush()


def _complain(name: str, *lines: str) -> None:
    with contextlib.suppress(OSError):
        priority = PRIORITY[logging.ERROR] if is_journal(sys.stderr) else ""
        for line in lines:
            sys.stderr.write(f"{priority}{name}: {printable(line)}\n")
        sys.stderr.flush()


def _have_standard_streams() -> None:
    """Fill descriptors 0 to 2 where whoever started us closed them.

    A socket would get such a number, and whatever a library prints would go to its peer.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _flushed() -> bool:
    """Write out what is left; if Python did it at the end, it would make its own noise."""
    complete = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            complete = complete and stream is sys.stderr
            # What could not be written stays in the stream's buffer: let it go somewhere.
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, stream.fileno())
            os.close(sink)
    return complete
