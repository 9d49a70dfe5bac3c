"""Run docker or podman for the container tests."""

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
    def detect(cls) -> "Engine | None":
        """Return the first engine that works; None if there is none."""
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
        result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        expect(result.returncode == 0, f"{kind} {name} does not exist")
        return json.loads(result.stdout)[0]

    def build(self, tag: str) -> str:
        """Build the image and return its tag."""
        format_ = ["--format=docker"] if self.is_podman else []  # OCI images have no health check
        say(f"building {tag}")
        self("build", *format_, "--tag", tag, ".")
        return tag

    def health(self, name: str) -> str:
        """Return the current health of a container."""
        if self.is_podman:  # without systemd, podman runs no health checks by itself
            works(*self.words, "healthcheck", "run", name)
        state = self.inspect("container", name)["State"]
        status: str = (state.get("Health") or state.get("Healthcheck"))["Status"]
        return status
