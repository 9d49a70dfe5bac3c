"""A chain whose jump server alone resolves some names, so a fetch of them went through it."""

import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from tests.support.http_servers import HOME, home_names_environment
from tests.support.peers import closed_port
from tests.support.programs import Chain, chain_running, running
from tests.support.servers import serving_context

Unavailable = Callable[[str], None]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    home = home_names_environment(tmp_path_factory.mktemp("home"))
    # The bridge of `misconfigured` keeps trying its secret; that must not ban the other one.
    with chain_running({**home, "NETJUMPER_MAX_AUTH_FAILURES": "0"}) as chain:
        yield chain


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """A server's certificate for every name at home, from the authority in `ca_file`."""
    return serving_context(authority, f"*.{HOME}")


@pytest.fixture
def unavailable(request: pytest.FixtureRequest) -> Unavailable:
    """Skip a test for another reason than a missing program, or fail it with --all-programs."""

    def reason_for(reason: str) -> None:
        if request.config.getoption("--all-programs"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return reason_for


@pytest.fixture
def refusing() -> str:
    """An address at home where nothing listens."""
    return f"refusing.{HOME}:{closed_port().port}"


@pytest.fixture(scope="session")
def misconfigured(chain: Chain) -> Iterator[str]:
    """The HTTP and SOCKS address of a bridge whose secret is not the jump server's."""
    env = {"NETJUMPER_SECRET": "another secret"}
    listeners = ["--mixed", "127.0.0.1:0"]
    with running("netjumper-bridge", "--jump", chain.jump, *listeners, env=env) as bridge:
        yield bridge.address("SOCKS and HTTP")
