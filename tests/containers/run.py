#!/usr/bin/env python3
"""`make test-image`: build the image, and test it and the services of compose.yaml.

It uses the first of docker and podman that works, with its compose. To use others, set
CONTAINER_ENGINE="sudo docker" and COMPOSE="podman-compose". To test an existing image, set
NETJUMPER_IMAGE=NAME.
"""

import json
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.containers.engine import Engine
from tests.support.deployment import Failed, eventually, expect, run, say, works

PROJECT = "netjumper-test"
BRIDGE, SIDECAR = f"{PROJECT}-bridge", f"{PROJECT}-sidecar"
JUMP_SERVER, TARGET = f"{PROJECT}-jump-server", f"{PROJECT}-target"
PAGE = "a page that only the jump server can reach"
SLOW = f"{PROJECT}-slow"
CONTAINERS = (SLOW, BRIDGE, SIDECAR, JUMP_SERVER, TARGET)
URL = "http://target:8000/"
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SECRET, PASSWORD = secrets.token_hex(32), secrets.token_hex(24)
MAX_ADDED_BYTES = 60 * 1024 * 1024
"""Maximum size that the image adds to its base image."""

READ_SLOWLY = f"""
import os, urllib.request
answer = urllib.request.urlopen("{URL}slow")
print("half", len(answer.read(1024 * 1024)), flush=True)
print("rest", len(answer.read()), flush=True)
"""


def main() -> int:
    engine = Engine.detect()
    if engine is None:
        say("this needs podman or docker; neither works here")
        return 2
    if not works(*engine.compose, "version"):
        say(f"this needs {' '.join(engine.compose)} too; it does not work here")
        return 2
    try:
        image = os.environ.get("NETJUMPER_IMAGE") or engine.build("netjumper:test")
    except Failed as failure:
        say(f"FAILED: {failure}")
        return 1
    with tempfile.TemporaryDirectory() as directory:
        trial = Trial(engine, image, Path(directory))
        try:
            trial.run()
        except Failed as failure:
            say(f"FAILED: {failure}\n{trial.logs()}")
            return 1
        finally:
            trial.clean()
    say("all checks passed")
    return 0


class Trial:
    """The checks, a method each; they use containers that earlier checks have started.

    Args:
        engine: runs the containers.
        image: to test.
        directory: for secrets.
    """

    def __init__(self, engine: Engine, image: str, directory: Path) -> None:
        self.engine = engine
        self.image = image
        self.secret, self.users = directory / "netjumper", directory / "users"
        self.secret.write_text(SECRET)
        self.users.write_text(f"app:{PASSWORD}\n")
        for file in (self.secret, self.users):
            file.chmod(0o444)
        self.environment = {
            "NETJUMPER_IMAGE": image,
            "NETJUMPER_JUMP": "jump-server:9527",
            "SECRETS": str(directory),
            "PAGE": URL,
        }

    def run(self) -> None:
        for check in self.checks():
            began = time.monotonic()
            message = check()
            line = ": ".join(filter(None, (check.__name__.replace("_", " "), message)))
            say(f"ok  {time.monotonic() - began:5.1f} s  {line}")

    def checks(self) -> Iterator[Callable[[], str | None]]:
        yield self.image_has_a_fixed_user_and_a_small_size
        yield self.first_argument_selects_the_command
        yield self.services_become_healthy
        yield self.services_have_no_privileges
        yield self.app_beside_the_bridge_receives_the_page
        yield self.app_with_a_proxy_url_receives_the_page
        yield self.app_without_the_password_is_refused
        yield self.stopped_bridge_is_unhealthy_until_it_continues
        yield self.wrong_secret_is_reported
        yield self.unreadable_secret_is_reported
        yield self.health_checks_leave_no_log_lines_or_zombies
        yield self.secrets_are_not_visible
        yield self.stop_waits_for_a_running_transfer
        yield self.missing_jump_server_fails_only_the_deep_check

    # The image.

    def image_has_a_fixed_user_and_a_small_size(self) -> str:
        message = self.engine.inspect("image", self.image)
        config = message["Config"]
        user = config["User"].split(":")
        expect(all(it.isdigit() and it != "0" for it in user), f"its user is {config['User']}")
        expect(config.get("StopSignal", "SIGTERM") == "SIGTERM", "its stop signal is not SIGTERM")
        health = (config.get("Healthcheck") or message["Healthcheck"])[
            "Test"
        ]  # podman has it one level higher
        expect(health[0] == "CMD", f"its health check needs a shell: {health}")
        expect(config["Labels"]["org.opencontainers.image.licenses"], "it has no licence label")
        du = ("--entrypoint", "du", self.image, "--summarize", "--bytes", "/opt/venv")
        added = int(self.engine("run", "--rm", *du).split()[-2])
        expect(added < MAX_ADDED_BYTES, f"the image adds {added} bytes to its base image")
        size = message["Size"] / 1e6
        return f"user {config['User']}, {size:.0f} MB, of which added {added / 1e6:.0f}"

    def first_argument_selects_the_command(self) -> None:
        for words, name in [((), "netjumper-bridge "), (("netjumper",), "netjumper ")]:
            message = self.engine("run", "--rm", *HARDENED, self.image, *words, "--version")
            expect(name in message, f"{words} gives {message}")
        message = self.engine("run", "--rm", *HARDENED, self.image, "netjumper", "keygen")
        expect(len(message.split()[-1]) == 64, f"keygen gives {message}")

    # The services.

    def services_become_healthy(self) -> None:
        self._compose("up", "--detach", "--no-build", "jump-server", "target", "sidecar", "bridge")
        for name in (JUMP_SERVER, SIDECAR, BRIDGE):
            eventually(f"{name} healthy", lambda name=name: self.engine.health(name) == "healthy")

    def services_have_no_privileges(self) -> None:
        for name in (JUMP_SERVER, SIDECAR, BRIDGE):
            status = self.engine("exec", name, "cat", "/proc/1/status")
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            expect(fields["Uid"].split() == ["65532"] * 4, f"{name} runs as {fields['Uid']}")
            expect(int(fields["CapEff"], 16) == 0, f"{name} has capabilities {fields['CapEff']}")
            expect(int(fields["CapBnd"], 16) == 0, f"{name} can get {fields['CapBnd']}")
            expect(fields["NoNewPrivs"] == "1", f"{name} can get new privileges")
            mounts = self.engine("exec", name, "cat", "/proc/1/mounts").splitlines()
            root = next(line.split()[3] for line in mounts if line.split()[1:2] == ["/"])
            expect("ro" in root.split(","), f"{name} can write: {root}")
            limits = self.engine.inspect("container", name)["HostConfig"]
            expect(limits["PidsLimit"] == 256, f"{name} may start {limits['PidsLimit']} processes")
            expect(limits["Memory"] == 512 << 20, f"{name} may take {limits['Memory']} bytes")

    def app_beside_the_bridge_receives_the_page(self) -> None:
        self._expect_page("app-beside")

    def app_with_a_proxy_url_receives_the_page(self) -> None:
        self._expect_page("app")

    def _expect_page(self, service: str) -> None:
        # podman-compose waits for health with a command that older podman lacks
        depends = ["--no-deps"] if self.engine.is_podman else []
        message = self._compose("run", "--rm", "-T", *depends, service)
        expect(PAGE in message, f"{service} received {message}")

    def app_without_the_password_is_refused(self) -> None:
        message = self._fetch(
            "http://bridge:8118", f"import urllib.request as r; r.urlopen('{URL}')"
        )
        expect("407" in message, f"it received {message}")

    def _fetch(self, proxy: str, program: str, *flags: str, ok: bool = False) -> str:
        """Run a Python program in the network of the apps."""
        network = ("--network", f"{PROJECT}_apps", "--entrypoint", "python")
        return self.engine(
            "run", *(flags or ("--rm",)), *network, "--env", f"http_proxy={proxy}",
            self.image, "-c", program, ok=ok,
        )  # fmt: skip

    def stopped_bridge_is_unhealthy_until_it_continues(self) -> str:
        self._signal(SIDECAR, "STOP")
        message = self._checked(SIDECAR, ok=False)
        expect("no answer" in message, message)
        eventually("unhealthy", lambda: self.engine.health(SIDECAR) == "unhealthy")
        self._signal(SIDECAR, "CONT")
        eventually("healthy", lambda: self.engine.health(SIDECAR) == "healthy")
        return message

    def _signal(self, name: str, signal: str) -> None:
        """Send a signal to the children of the container's init."""
        children = "$(cat /proc/1/task/1/children)"
        self.engine("exec", name, "sh", "-c", f"kill -{signal} {children}")

    def _checked(self, name: str, *flags: str, ok: bool = True) -> str:
        """Run the health check of the image and return its output."""
        words = ("netjumper-bridge", "healthcheck", "--running", *flags)
        return self.engine("exec", name, *words, ok=ok).strip()

    # Errors, secrets and shutdown.

    def wrong_secret_is_reported(self) -> str:
        words = ("netjumper-bridge", "healthcheck", "--jump", "jump-server:9527", "--deep")
        message = self.engine(
            "exec", SIDECAR, "env", "--unset=NETJUMPER_SECRET_FILE", "NETJUMPER_SECRET=not-theirs",
            *words, ok=False,
        ).strip()  # fmt: skip
        expect("check secret" in message, message)
        return message

    def unreadable_secret_is_reported(self) -> str:
        self.secret.chmod(0o400)
        try:
            message = self.engine(
                "run", "--rm", *HARDENED, "--volume", f"{self.secret}:/run/secrets/netjumper:ro",
                self.image, "netjumper", "--secret-file", "/run/secrets/netjumper", ok=False,
            ).strip()  # fmt: skip
        finally:
            self.secret.chmod(0o444)
        expect("cannot read /run/secrets/netjumper: Permission denied" in message, message)
        return message.splitlines()[-1]

    def health_checks_leave_no_log_lines_or_zombies(self) -> None:
        for name in (JUMP_SERVER, SIDECAR, BRIDGE):
            eventually(f"a check without log lines of {name}", lambda name=name: self._quiet(name))
            states = self.engine("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat")
            expect(") Z " not in states, f"{name} does not reap: {states}")

    def _quiet(self, name: str) -> bool:
        """Return whether a check logs nothing; a late line of an earlier event is possible."""
        before = self.engine("logs", name)
        self._checked(name)
        return self.engine("logs", name) == before

    def secrets_are_not_visible(self) -> None:
        shown = {
            "image inspect": json.dumps(self.engine.inspect("image", self.image)),
            "image history": self.engine("history", "--no-trunc", self.image),
        }
        for name in (JUMP_SERVER, SIDECAR, BRIDGE):
            shown[f"inspect {name}"] = json.dumps(self.engine.inspect("container", name))
            shown[f"logs {name}"] = self.engine("logs", name)
        for place, text in shown.items():
            expect(SECRET not in text, f"the secret is in {place}")
            expect(PASSWORD not in text, f"the password is in {place}")

    def stop_waits_for_a_running_transfer(self) -> str:
        proxy = f"http://app:{PASSWORD}@bridge:8118"
        self._fetch(proxy, READ_SLOWLY, "--detach", "--name", SLOW, ok=True)
        eventually("half of the transfer", lambda: "half" in self.engine("logs", SLOW))
        stop = threading.Thread(target=self.engine, args=("stop", "-t", "30", BRIDGE))
        stop.start()
        eventually("draining", lambda: "stopping: waiting" in self.engine("logs", BRIDGE))
        go = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/go')"
        self.engine("exec", TARGET, "python", "-c", go)
        self.engine("wait", SLOW)
        stop.join()
        message = self.engine("logs", SLOW)
        expect("rest 1048576" in message, f"it was truncated: {message}")
        code = self.engine.inspect("container", BRIDGE)["State"]["ExitCode"]
        expect(code == 0, f"the bridge exited with status {code}")
        return self.engine("logs", BRIDGE).splitlines()[-2]

    def missing_jump_server_fails_only_the_deep_check(self) -> str:
        self.engine("stop", JUMP_SERVER)
        self._checked(SIDECAR)
        message = self._checked(SIDECAR, "--deep", ok=False)
        expect("jump host jump-server:9527" in message, message)
        return message

    # Logs and clean-up.

    def logs(self) -> str:
        """Return the last log lines of all containers."""
        message = []
        for name in CONTAINERS:
            lines = run(*self.engine.words, "logs", "--tail=9", name, ok=None)
            message.append(f"--- {name}\n{lines}")
        return "".join(message)

    def _compose(self, *words: str) -> str:
        files = ("-f", "compose.yaml", "-f", "tests/containers/compose.yaml")
        return run(*self.engine.compose, "-p", PROJECT, *files, *words, env=self.environment)

    def clean(self) -> None:
        for name in CONTAINERS:
            works(*self.engine.words, "kill", name)
            works(*self.engine.words, "rm", "--force", "--volumes", name)
        try:
            self._compose("down")
        except Failed as failure:
            say(f"clean-up failed: {failure}")


if __name__ == "__main__":
    sys.exit(main())
