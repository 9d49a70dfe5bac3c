"""A chain whose jump server knows names that nobody else does: what is fetched went through it."""

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from origins import HOME, knowing_home
from programs import SECRET, Chain, running

Unavailable = Callable[[str], None]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    env = {"NETJUMPER_SECRET": SECRET}
    home = env | knowing_home(tmp_path_factory.mktemp("home"))
    with running("netjumper", "--listen", "127.0.0.1:0", env=home) as server:
        jump = server.address("netjumper")
        doors = ["--socks", "127.0.0.1:0", "--http", "127.0.0.1:0", "--mixed", "127.0.0.1:0"]
        with running("netjumper-bridge", "--jump", jump, *doors, env=env) as bridge:
            yield Chain(
                server,
                bridge,
                jump,
                bridge.address("SOCKS"),
                bridge.address("HTTP"),
                bridge.address("SOCKS and HTTP"),
            )


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """A server's certificate for every name at home, from the authority in `ca_file`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(f"*.{HOME}").configure_cert(context)
    return context


@pytest.fixture
def unavailable(request: pytest.FixtureRequest) -> Unavailable:
    """Skip a test for a reason that is no missing program, or fail it with --all-programs."""

    def tell(reason: str) -> None:
        if request.config.getoption("--all-programs"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return tell


@pytest.fixture
def nobody() -> str:
    """A place at home where nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"nobody.{HOME}:{sock.getsockname()[1]}"


@pytest.fixture(scope="session")
def estranged(chain: Chain) -> Iterator[str]:
    """Where a bridge speaks HTTP and SOCKS whose secret is not the jump server's."""
    env = {"NETJUMPER_SECRET": "another secret"}
    doors = ["--mixed", "127.0.0.1:0"]
    with running("netjumper-bridge", "--jump", chain.jump, *doors, env=env) as bridge:
        yield bridge.address("SOCKS and HTTP")
