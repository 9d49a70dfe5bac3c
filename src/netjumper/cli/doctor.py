"""`netjumper-bridge doctor`: the way to a target step by step, and what to do about a failure."""

import argparse
import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from netjumper.address import Address, quoted
from netjumper.cli import process
from netjumper.cli.bridging import load_bridge
from netjumper.cli.options import PLACES, Flags, Parser, layer_of
from netjumper.cli.probe import ENOUGH, Probe, download
from netjumper.console import human_size, printable
from netjumper.errors import (
    AddressError,
    JumpHostTimeout,
    NameLookupFailed,
    NameNotFound,
    NetjumperError,
    TargetDenied,
    TargetError,
    TargetRefused,
)
from netjumper.settings import BridgeSettings, SettingsError

DEFAULT_TARGET = "example.org:443"
EXIT_CODES = {"name": 3, "connect": 4, "challenge": 5, "secret": 6, "target": 7}
"""The exit code when that step is the first that fails; a throughput that cannot be measured is
no failure."""

_EXAMPLES = """\
examples:
  netjumper-bridge doctor --jump home.example.net:9527 --secret-file secret
      as far as example.org:443, and how fast its page comes
  netjumper-bridge doctor db.example.org:5432
      with the settings of a file or of the environment
  netjumper-bridge doctor https://www.example.org/large.bin --json
      the throughput of this download, as one JSON object

The steps, and the exit status where one is the first that fails: name (3), connect (4),
challenge (5), secret (6), target (7). Throughput is measured for a URL and for ports 80 and 443,
over up to 5 s or 16 MiB; that it cannot be is no failure. 0: all is well. 2: the settings are
wrong, 1: the output could not be written.

"""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one step.

    Attributes:
        step: its name.
        ok: whether it was done; None is neither done nor a failure.
        seconds: how long it took.
        told: what came out of it.
    """

    step: str
    ok: bool | None
    seconds: float
    told: str

    def line(self) -> str:
        """Return it as a line for people."""
        mark = {True: "ok", False: "FAILED", None: "-"}[self.ok]
        return f"{mark:7}{self.step:11}{self.seconds * 1000:8.1f} ms  {printable(self.told)}"


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the tunnel is to lead, and what to fetch there; an empty path fetches nothing."""

    target: Address
    path: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """Read `host:port` or an http or https URL.

        Raises:
            SettingsError: it is neither.
        """
        if "://" not in text:
            try:
                target = Address.parse(text)
            except AddressError as error:
                raise SettingsError(f"TARGET: {error}") from None
            tls = target.port == 443
            return cls(target, "/" if tls or target.port == 80 else "", tls)
        try:
            url = urlsplit(text)
            tls = {"http": False, "https": True}[url.scheme]
            target = Address.checked(url.hostname or "", url.port or (443 if tls else 80))
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            if url.username is not None or not path.isascii() or " " in path:
                raise ValueError
        except (KeyError, ValueError):
            raise SettingsError(
                f"TARGET: {quoted(text)}: expected HOST:PORT or an http or https URL "
                "without a password"
            ) from None
        return cls(target, path, tls)


def build_parser() -> Parser:
    """Return the parser of `netjumper-bridge doctor`."""
    parser = Parser(
        "netjumper-bridge doctor",
        "Makes a tunnel step by step, with each step's time, and explains the first that fails.",
        _EXAMPLES + PLACES.format(table=BridgeSettings.table),
        "netjumper-bridge doctor --jump HOST:PORT [options] [TARGET]",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help=f"HOST:PORT or a URL to reach (default: {DEFAULT_TARGET})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    flags = Flags(parser, BridgeSettings)
    flags.group("the jump server", "jump", "secret_file")
    flags.group("timeouts", "dial_timeout", "jump_timeout")
    flags.config()
    return parser


def run(words: Sequence[str]) -> int:
    """Try the steps and tell of them; return the exit code, which names the step that failed.

    Raises:
        SettingsError: the command line or a setting is wrong.
    """
    arguments = build_parser().parse_args(words)
    goal = Goal.parse(getattr(arguments, "target", DEFAULT_TARGET))
    probe, jump_host, timeout = _probe(arguments)
    as_json = hasattr(arguments, "json")
    examined = Examination(jump_host, goal, timeout)
    with closing(probe):
        for step in examined.steps(probe):
            if not as_json:
                process.say(step.line())
    if as_json:
        process.say(examined.as_json())
    elif examined.advice:
        process.say(f"\n{printable(examined.advice)}")
    return examined.exit_code


def _probe(arguments: argparse.Namespace) -> tuple[Probe, Address, float]:
    flags = layer_of(arguments, BridgeSettings)
    flags.give("mixed", ["127.0.0.1:0"], "doctor")  # nothing is opened; open doors are no matter
    flags.give("socks", [], "doctor")
    flags.give("http", [], "doctor")
    loaded = load_bridge(flags, getattr(arguments, "config", None))
    settings = loaded.settings
    if settings.jump is None:
        raise SettingsError("with embedded there is no jump server to examine; give --jump")
    probe = Probe(
        settings.jump,
        loaded.secret(),
        dial_timeout=settings.dial_timeout,
        jump_timeout=settings.jump_timeout,
    )
    return probe, settings.jump, settings.jump_timeout


class Examination:
    """The steps as they are tried, and what they came to.

    Args:
        jump_host: where the jump server is.
        goal: where the tunnel is to lead.
        timeout: seconds to wait for anything of the target's.
    """

    def __init__(self, jump_host: Address, goal: Goal, timeout: float) -> None:
        self.advice = ""
        """What to do about the failure, empty where there was none."""
        self.exit_code = process.OK
        self._jump_host = jump_host
        self._goal = goal
        self._timeout = timeout
        self._done: list[Step] = []

    def steps(self, probe: Probe) -> Iterator[Step]:
        """Yield each step when it is done, up to the first that fails."""
        for name, attempt in self._attempts(probe).items():
            step = self._tried(name, attempt)
            yield step
            if not step.ok:
                return
        yield self._measured(probe)

    def as_json(self) -> str:
        """Return all of it as one JSON object."""
        told = {
            "ok": self.exit_code == process.OK,
            "jump_host": str(self._jump_host),
            "target": str(self._goal.target),
            "steps": [asdict(step) for step in self._done],
            "advice": self.advice,
            "exit_code": self.exit_code,
        }
        return json.dumps(told)

    def _attempts(self, probe: Probe) -> dict[str, Callable[[], str]]:
        """Return what does each step and says what came out of it, in their order."""
        target = self._goal.target

        def challenge() -> str:
            probe.challenge()
            return "a jump server answers"

        def prove() -> str:
            probe.prove()
            return "the jump server accepts it"

        def reach() -> str:
            probe.reach(target)
            return f"{target} is reached"

        return {
            "name": lambda: f"{self._jump_host.host} is {', '.join(probe.look_up())}",
            "connect": lambda: f"{probe.connect()}, one round trip",
            "challenge": challenge,
            "secret": prove,
            "target": reach,
        }

    def _tried(self, name: str, attempt: Callable[[], str]) -> Step:
        begun = time.monotonic()
        try:
            told, ok = attempt(), True
        except NetjumperError as error:
            told, ok = f"{type(error).__name__}: {error}", False
            self.advice = advice(name, error)
            self.exit_code = EXIT_CODES[name]
        return self._keep(Step(name, ok, time.monotonic() - begun, told))

    def _measured(self, probe: Probe) -> Step:
        begun = time.monotonic()
        told, ok = self._throughput(probe)
        return self._keep(Step("throughput", ok, time.monotonic() - begun, told))

    def _throughput(self, probe: Probe) -> tuple[str, bool | None]:
        goal = self._goal
        if not goal.path:
            return "not measured: give a URL", None
        try:
            count, seconds = download(
                probe.tunnel,
                goal.target,
                goal.path,
                tls=ssl.create_default_context() if goal.tls else None,
                timeout=self._timeout,
            )
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            return f"not measured: the target was reached, then: {reason}", None
        if count < ENOUGH or not seconds:
            return f"not measured: {human_size(count)} are too few; give a URL of more", None
        return f"{human_size(int(count / seconds))}/s over {human_size(count)}", True

    def _keep(self, step: Step) -> Step:
        self._done.append(step)
        return step


def advice(step: str, error: NetjumperError) -> str:
    """Return what to do when `step` failed with `error`."""
    if step == "connect" and isinstance(error.__cause__, ConnectionRefusedError):
        return (
            "The machine is there, and nothing listens on that port. Start the jump server "
            "(netjumper), and have the home router forward the port to it."
        )
    if step == "challenge" and isinstance(error, JumpHostTimeout):
        return (
            "Something took the connection and says nothing. A jump server sends 33 bytes at "
            "once: check that the port is its own and not a web server's, and that no middlebox "
            "in between holds the connection."
        )
    if step == "target" and isinstance(error, TargetError):
        return _ABOUT_TARGETS.get(type(error), _TARGET_UNREACHABLE)
    return _ABOUT_STEPS[step]


_ABOUT_STEPS = {
    "name": (
        "The jump host's name cannot be looked up on this machine. Check its spelling, the "
        "dynamic DNS entry of the home connection, and this machine's name server; or give --jump "
        "an IP address."
    ),
    "connect": (
        "No answer comes from that address. Check the address, a firewall in between, and that "
        "the machine at home is up; a home connection's address may have changed."
    ),
    "challenge": (
        "What answers there does not speak the netjumper protocol, or it was overloaded. Check the "
        "port, and the log of the jump server."
    ),
    "secret": (
        "If it is WrongSecret, the two sides' secrets differ: compare sha256sum of both files. A "
        "stray space counts, and a newline in NETJUMPER_SECRET. Otherwise something else answers "
        "on that port."
    ),
    "target": (
        "The jump server accepted the secret and then did not say what became of the target. "
        "Look at its log, and whether the connection is stable."
    ),
}
_TARGET_UNREACHABLE = (
    "The jump server is fine; from there the target cannot be reached. Try another target, and "
    "try this one on the machine of the jump server."
)
_ABOUT_TARGETS: dict[type[NetjumperError], str] = {
    TargetRefused: (
        "The jump server is fine; the target's machine refuses connections on that port. Check "
        "the port, and that the program there runs."
    ),
    NameNotFound: (
        "The jump server is fine; as seen from there, the target's name does not exist. Check its "
        "spelling."
    ),
    NameLookupFailed: (
        "The jump server is fine; its own name server does not answer. Check DNS on that machine."
    ),
    TargetDenied: (
        "The jump server is fine; it, or a firewall on its machine, does not allow that target."
    ),
}
