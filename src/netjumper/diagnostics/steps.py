"""The steps to a target, tried in order up to the first that fails."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from netjumper.addressing.address import Address
from netjumper.diagnostics.advice import advice
from netjumper.diagnostics.download import MAX_DOWNLOAD_S, MIN_MEASURED_BYTES, download
from netjumper.diagnostics.probe import Probe
from netjumper.errors import AddressError, NetjumperError, SettingsError
from netjumper.text import human_size, quoted
from netjumper.tls.context import default_context

NO_FAILURE = 0
"""The exit code when no step fails."""
EXIT_CODES = {"name": 3, "connect": 4, "challenge": 5, "secret": 6, "target": 7, "tls": 8}
"""The exit code when that step fails. A throughput that cannot be measured is not a failure."""


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one step.

    Attributes:
        step: its name.
        ok: whether it succeeded; None is neither a success nor a failure.
        seconds: how long it took.
        detail: its result, or its error.
    """

    step: str
    ok: bool | None
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class DiagnosisTarget:
    """The target of the tunnel, and what to fetch there; an empty path fetches nothing."""

    target: Address
    path: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> "DiagnosisTarget":
        """Parse `host:port`, or an http or https URL.

        Raises:
            SettingsError: it is neither.
        """
        if "@" in text.partition("?")[0]:  # not repeated, as it may contain a password
            raise SettingsError("TARGET: expected HOST:PORT or a URL, without user and password")
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
            if not path.isascii() or " " in path:
                raise ValueError
        except (KeyError, ValueError):
            raise SettingsError(
                f"TARGET: {quoted(text)}: expected HOST:PORT or an http or https URL"
            ) from None
        return cls(target, path, tls)


class Diagnosis:
    """The steps and their results.

    Args:
        jump_host: the jump server's address.
        goal: the target of the tunnel.
        timeout: seconds that all steps can take together, up to the target's first bytes.
    """

    def __init__(self, jump_host: Address, goal: DiagnosisTarget, timeout: float) -> None:
        self.advice = ""
        """What to do about the failure; empty if there was none."""
        self.exit_code = NO_FAILURE
        self.jump_host = jump_host
        self.goal = goal
        self.done: list[Step] = []
        """The steps that were tried."""
        self._timeout = timeout

    def steps(self, probe: Probe) -> Iterator[Step]:
        """Yield each step when it is done, up to the first that fails."""
        probe.deadline = time.monotonic() + self._timeout
        for name, attempt in self._attempts(probe).items():
            step = self._run_step(name, attempt)
            yield step
            if not step.ok:
                return
        yield self._measured(probe)

    def _attempts(self, probe: Probe) -> dict[str, Callable[[], str]]:
        """Return the steps in order: each is done by a function that returns its detail."""
        target = self.goal.target

        def challenge() -> str:
            probe.challenge()
            return "a jump server answers"

        def prove() -> str:
            probe.prove()
            return "the jump server accepts it"

        def reach() -> str:
            probe.reach(target)
            return f"{target} is reached"

        def encrypt() -> str:
            probe.encrypt()
            return "the jump server proved its identity"

        return {
            "name": lambda: self._found(probe.look_up()),
            "connect": probe.connect,
            **({} if probe.encryption is None else {"tls": encrypt}),
            "challenge": challenge,
            "secret": prove,
            "target": reach,
        }

    def _found(self, addresses: Sequence[str]) -> str:
        host = self.jump_host.host
        if list(addresses) == [host]:
            return f"{host} is an address, there is nothing to look up"
        return f"{host} is {', '.join(addresses)}"

    def _run_step(self, name: str, attempt: Callable[[], str]) -> Step:
        begun = time.monotonic()
        try:
            detail, ok = attempt(), True
        except NetjumperError as error:
            detail, ok = f"{type(error).__name__}: {error}", False
            self.advice = advice(name, error)
            self.exit_code = EXIT_CODES[name]
        return self._keep(Step(name, ok, time.monotonic() - begun, detail))

    def _measured(self, probe: Probe) -> Step:
        begun = time.monotonic()
        detail, ok = self._throughput(probe)
        return self._keep(Step("throughput", ok, time.monotonic() - begun, detail))

    def _throughput(self, probe: Probe) -> tuple[str, bool | None]:
        goal = self.goal
        if not goal.path:
            return "not measured: give a URL", None
        try:
            count, seconds = download(
                probe.tunnel,
                goal.target,
                goal.path,
                tls=default_context() if goal.tls else None,
                deadline=probe.step_deadline,
            )
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            return f"not measured: the target was reached, then: {reason}", None
        if (
            count < MIN_MEASURED_BYTES and seconds < MAX_DOWNLOAD_S
        ):  # so little in the whole time is slow, not too small a page
            return f"not measured: {human_size(count)} are too few; give a larger file's URL", None
        return f"{human_size(int(count / max(seconds, 1e-6)))}/s over {human_size(count)}", True

    def _keep(self, step: Step) -> Step:
        self.done.append(step)
        return step
