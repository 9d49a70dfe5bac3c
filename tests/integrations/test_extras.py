"""What is said where an extra is missing: one line that names it."""

import subprocess
import sys

import pytest

HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == {library!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Hidden())
try:
    {statement}
except ImportError as error:
    print(error)
"""


def said_without(library: str, statement: str) -> str:
    """Return what the error says that `statement` raises where `library` is not installed."""
    code = HIDING.format(library=library, statement=statement)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


@pytest.mark.parametrize("extra", ["aiohttp", "httpx", "requests", "urllib3"])
def test_a_missing_library_is_named_with_its_extra(extra: str) -> None:
    assert said_without(extra, f"import netjumper.integrations.{extra}") == (
        f"netjumper.integrations.{extra} needs an extra: pip install 'netjumper[{extra}]' "
        f"(No module named '{extra}')\n"
    )


@pytest.mark.parametrize("method", ["httpx_client", "httpx_async_client"])
def test_missing_httpx_names_the_extra_to_install(method: str) -> None:
    statement = f"import netjumper; netjumper.Jumper('127.0.0.1:1', 'secret').{method}()"
    assert "pip install 'netjumper[httpx]'" in said_without("httpx", statement)
