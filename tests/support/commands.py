"""Run netjumper's commands until they exit."""

from collections.abc import Mapping

from tests.support import programs


def run(
    name: str, *arguments: str, env: Mapping[str, str] | None = None
) -> tuple[int, str, list[str]]:
    """Run an installed command; return its exit status, its output, and its lines of errors."""
    done = programs.run([programs.installed(name), *arguments], env)
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()
