"""Listening sockets that are for this machine, or for its owner, only."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.net.listening_sockets import ListenError, listen_on

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.fixture
def umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize(
    ("umask", "mode"), [(0o022, 0o750), (0o002, 0o770), (0, 0o770), (0o077, 0o700)],
    indirect=["umask"],
)  # fmt: skip
async def test_no_other_user_can_connect_to_a_unix_socket(umask, mode, tmp_path):
    path = tmp_path / "socket"
    (sock,) = listen_on(ListenAddress.parse(f"unix:{path}"))
    with sock:
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(umask) == umask
    path.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_kept_out_by_the_kernel():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o711)
        path = Path(folder) / "socket"
        (sock,) = listen_on(ListenAddress.parse(f"unix:{path}"))
        with sock:
            assert as_nobody(path) == "PermissionError"
            path.chmod(0o777)
            assert as_nobody(path) == "connected"


def as_nobody(path: Path) -> str:
    """Return what becomes of a connection that a user without any rights tries."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.setgid(65534)
        os.setgroups([])
        os.setuid(65534)
        said = "connected"
        try:
            socket.socket(socket.AF_UNIX).connect(str(path))
        except OSError as error:
            said = type(error).__name__
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


async def test_localhost_is_listened_on_at_loopback_addresses_only(monkeypatch):
    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        found = "192.0.2.7" if host == "LocalHost" else host
        return [*look_up("127.0.0.1", port, **options), *look_up(found, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ListenError) as caught:
        listen_on(ListenAddress.parse("LocalHost:0"))
    assert str(caught.value) == (
        "cannot listen on LocalHost:0: the name has an address that is not loopback"
    )
