"""Settings for every test."""

import asyncio
import os
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import trustme
from hypothesis import settings

from tests.support.peers import no_descriptor_leaks
from tests.support.servers import trusting_context

try:
    import uvloop
except ImportError:
    uvloop = None

pytest_plugins = ["tests.support.fixtures"]

# How long one example takes says more about the machine than about the code.
settings.register_profile("netjumper", deadline=None)
settings.load_profile("netjumper")

# A shell's background job ignores Ctrl-C and Ctrl-\, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
# With nohup they ignore the terminal's end.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Servers that tests start (sshd) are where an ordinary user does not look for programs.
os.environ["PATH"] += f"{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on both loops where both are installed: they report errors differently."""
    factories = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-programs",
        action="store_true",
        help="fail, instead of skipping, where a program that a test drives is not installed",
    )


@pytest.hookimpl(optionalhook=True)  # for runs with -p no:xdist
def pytest_xdist_auto_num_workers() -> int:
    """Give `-n auto` two workers for each core, as tests mostly wait."""
    return 2 * (os.cpu_count() or 1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs (`@pytest.mark.needs("curl", ...)`) are not all installed."""
    missing = [
        program
        for marker in item.iter_markers("needs")
        for program in marker.args
        if shutil.which(program) is None
    ]
    if missing:
        message = f"not installed: {', '.join(missing)}"
        if item.config.getoption("--all-programs"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate, for programs that read trusted authorities from a file."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    return trusting_context(authority)


@pytest.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    """No descriptor that the test opened is open at its end."""
    async with no_descriptor_leaks():
        yield
