"""Fuzzes one target until the time is over, or it crashes: `python -m fuzz.under_atheris TARGET`.

What follows the target's name is for libFuzzer.
"""

import hashlib
import importlib
import logging
import sys
from collections.abc import Callable

import atheris

from fuzz.targets import CRASHES


def main() -> None:
    """Run; atheris ends the process."""
    target, *options = sys.argv[1:]
    logging.disable()
    with atheris.instrument_imports(include=["netjumper", "h11"]):
        module = importlib.import_module(f"fuzz.{target}")
    atheris.Setup([target, *options], _keeping(target, module.check))
    atheris.Fuzz()


def _keeping(target: str, check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Write what crashes to where libFuzzer does, which once ended without having done it."""

    def check_and_keep(data: bytes) -> None:
        try:
            check(data)
        except BaseException:
            name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            (CRASHES / target / f"crash-{name}").write_bytes(data)
            raise

    return check_and_keep


if __name__ == "__main__":
    main()
