"""Docker or podman, and the little that the container tests want of them."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.deployment import expect, run, say, works


class Engine:
    """Docker or podman."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.is_podman = Path(words[-1]).name == "podman"
        self.compose = shlex.split(os.environ.get("COMPOSE", "")) or self._compose()

    @classmethod
    def found(cls) -> "Engine | None":
        """Return the one that works, None where there is none."""
        named = os.environ.get("CONTAINER_ENGINE")
        for words in [shlex.split(named)] if named else [["docker"], ["podman"]]:
            if works(*words, "info"):
                return cls(words)
        return None

    def _compose(self) -> list[str]:
        if self.is_podman and shutil.which("podman-compose"):
            return ["podman-compose"]
        return [*self.words, "compose"]

    def __call__(self, *arguments: str, ok: bool = True) -> str:
        return run(*self.words, *arguments, ok=ok)

    def inspect(self, kind: str, name: str) -> Any:
        command = [*self.words, kind, "inspect", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        expect(done.returncode == 0, f"there is no {kind} {name}")
        return json.loads(done.stdout)[0]

    def build(self, tag: str) -> str:
        """Build the image, and return its name."""
        format_ = ["--format=docker"] if self.is_podman else []  # OCI's has no health check
        say(f"building {tag}")
        self("build", *format_, "--tag", tag, ".")
        return tag

    def health(self, name: str) -> str:
        """Return what a container's health is now."""
        if self.is_podman:  # its timers need systemd
            works(*self.words, "healthcheck", "run", name)
        state = self.inspect("container", name)["State"]
        status: str = (state.get("Health") or state.get("Healthcheck"))["Status"]
        return status
