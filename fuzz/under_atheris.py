"""`python -m fuzz.under_atheris TARGET [OPTION ...]`: fuzz one target until the time is over.

The options are those of libFuzzer. A crash ends it early.
"""

import hashlib
import importlib
import logging
import sys
from collections.abc import Callable

import atheris

from fuzz.targets import CRASHES


def main() -> None:
    """Fuzz the target; atheris exits the process."""
    target, *options = sys.argv[1:]
    logging.disable()
    with atheris.instrument_imports(include=["netjumper", "h11"]):
        module = importlib.import_module(f"fuzz.{target}")
    atheris.Setup([target, *options], _with_crash_file(target, module.check))
    atheris.Fuzz()


def _with_crash_file(target: str, check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return `check`, which writes an input that crashes to a file; libFuzzer can fail to do so."""

    def check_and_save(data: bytes) -> None:
        try:
            check(data)
        except BaseException:
            name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            (CRASHES / target / f"crash-{name}").write_bytes(data)
            raise

    return check_and_save


if __name__ == "__main__":
    main()
