"""Real database servers behind a jump server, reached by their clients through the library.

No client of these needs a bridge: each has a place to give it a connected socket, or streams.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pg8000.dbapi
import pg8000.native
import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from netjumper import Jumper, TargetRefused
from tests.support.peers import closed_port
from tests.support.programs import clean_environment
from tests.support.remote_network import RemoteNetwork, forbid_name_lookups, remote_network
from tests.support.services import SECRET

HERE = f"127.78.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""A loopback address on which the databases' own ports are free."""
REFUSING = "refusing.example"
ADA = {"user": "ada", "password": "lovelace", "database": "postgres"}


@pytest.fixture(scope="module")
def end() -> Iterator[RemoteNetwork]:
    refusing = closed_port()
    names = {
        ("redis.example", 6379): (HERE, 6379),
        ("postgres.example", 5432): (HERE, 5432),
        (REFUSING, 6379): (refusing.host, refusing.port),
    }
    with remote_network(names) as end:
        yield end


@pytest.fixture
def jumper(end: RemoteNetwork, monkeypatch: pytest.MonkeyPatch) -> Jumper:
    forbid_name_lookups(monkeypatch)
    return Jumper(end.jump, SECRET)


@contextmanager
def daemon(*command: str, ready: str, user: str | None = None) -> Iterator[None]:
    """Run a server, and wait until it is ready."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
        user=user,
        cwd="/",
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            output = []
            for line in process.stdout:
                output.append(line)
                if ready in line:
                    break
            else:
                pytest.fail("".join(output))
            yield
        finally:
            process.send_signal(signal.SIGINT)  # the quick way for both
            process.communicate()


class TestRedis:
    pytestmark = pytest.mark.needs("redis-server")

    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        folder = str(tmp_path_factory.mktemp("redis"))
        options = ["--bind", HERE, "--port", "6379", "--dir", folder, "--save", ""]
        with daemon("redis-server", *options, ready="Ready to accept connections"):
            yield

    def test_redis_client_has_all_features(self, jumper: Jumper) -> None:
        with client(jumper, "redis.example") as there:
            assert there.ping()
            there.set("big", bytes(range(256)) * 10_000)
            assert there.get("big") == bytes(range(256)) * 10_000
            with there.pipeline() as pipe:
                for number in range(1000):
                    pipe.incrby("sum", number)
                assert pipe.execute()[-1] == sum(range(1000))

    def test_redis_message_is_published_over_two_tunnels(self, jumper: Jumper) -> None:
        with client(jumper, "redis.example") as there, there.pubsub() as subscription:
            subscription.subscribe("news")
            assert subscription.get_message(timeout=5)["type"] == "subscribe"
            assert there.publish("news", "read all about it") == 1
            assert subscription.get_message(timeout=5)["data"] == b"read all about it"

    def test_server_that_is_down_is_the_clients_own_error(self, jumper: Jumper) -> None:
        with client(jumper, REFUSING) as there:
            with pytest.raises(redis.ConnectionError, match="refused") as caught:
                there.ping()
        assert isinstance(caught.value.__context__, TargetRefused)

    async def test_asyncio_redis_client_has_all_features(self, jumper: Jumper) -> None:
        async with async_client(jumper, "redis.example") as there:
            async with there.pipeline() as pipe:
                pipe.delete("list").rpush("list", *range(1000)).lrange("list", 0, -1)
                assert (await pipe.execute())[-1] == [b"%d" % n for n in range(1000)]
            async with there.pubsub() as subscription:
                await subscription.subscribe("tidings")
                assert (await subscription.get_message(timeout=5))["type"] == "subscribe"
                assert await there.publish("tidings", "good ones") == 1
                assert (await subscription.get_message(timeout=5))["data"] == b"good ones"

    async def test_server_that_is_down_is_an_asyncio_error_too(self, jumper: Jumper) -> None:
        async with async_client(jumper, REFUSING) as there:
            with pytest.raises(redis.ConnectionError, match="refused"):
                await there.ping()


class JumperConnection(redis.Connection):
    """A connection of redis-py that is a tunnel."""

    def __init__(self, *, jumper: Jumper, **options: Any) -> None:
        super().__init__(**options)
        self.jumper = jumper

    def _connect(self) -> Any:
        sock = self.jumper.connect(f"{self.host}:{self.port}", self.socket_connect_timeout)
        sock.settimeout(self.socket_timeout)
        return sock


class AsyncJumperConnection(redis.asyncio.Connection):
    """A connection of redis-py's asyncio client that is a tunnel."""

    def __init__(self, *, jumper: Jumper, **options: Any) -> None:
        super().__init__(**options)
        self.jumper = jumper

    async def _connect(self) -> None:
        self._reader, self._writer = await self.jumper.open_connection(f"{self.host}:{self.port}")


@contextmanager
def client(jumper: Jumper, host: str) -> Iterator[redis.Redis]:
    pool = redis.ConnectionPool(
        connection_class=JumperConnection, jumper=jumper, host=host, retry=Retry(NoBackoff(), 0)
    )
    with redis.Redis.from_pool(pool) as there:
        yield there


def async_client(jumper: Jumper, host: str) -> redis.asyncio.Redis:
    pool = redis.asyncio.ConnectionPool(
        connection_class=AsyncJumperConnection,
        jumper=jumper,
        host=host,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)


class TestPostgres:
    pytestmark = pytest.mark.needs("pg_ctlcluster")

    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def server() -> Iterator[None]:
        # Debian has no server's program on PATH, and PostgreSQL refuses to be run by root.
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: int(it.parts[-2]))
        user = "postgres" if os.geteuid() == 0 else None
        folder = Path(tempfile.mkdtemp(prefix="netjumper-postgres-"))
        try:
            (folder / "password").write_text(ADA["password"])
            if user:
                shutil.chown(folder, user)
            subprocess.run(
                [programs / "initdb", "-D", folder / "data", "-U", "ada", "-A", "scram-sha-256",
                 "--pwfile", folder / "password", "--locale=C", "--encoding=UTF8", "--no-sync"],
                user=user, cwd="/", check=True, capture_output=True,
            )  # fmt: skip
            options = ["-D", str(folder / "data"), "-h", HERE, "-p", "5432", "-k", "", "-F"]
            ready = "database system is ready to accept connections"
            with daemon(str(programs / "postgres"), *options, ready=ready, user=user):
                yield
        finally:
            shutil.rmtree(folder)

    def test_postgres_rows_go_both_ways_over_the_given_socket(self, jumper: Jumper) -> None:
        with jumper.connect("postgres.example:5432", timeout=20) as sock:
            database = pg8000.native.Connection(sock=sock, **ADA)
            database.run("CREATE TEMPORARY TABLE words (number integer, word text)")
            database.run(
                "INSERT INTO words SELECT n, repeat(n::text, 100) FROM generate_series(1, :last) n",
                last=5000,
            )
            rows = database.run("SELECT number, word FROM words ORDER BY number")
            database.close()

        assert rows == [[number, str(number) * 100] for number in range(1, 5001)]

    def test_dbapi_transaction_is_rolled_back(self, jumper: Jumper) -> None:
        with jumper.connect("postgres.example:5432", timeout=20) as sock:
            database = pg8000.dbapi.connect(sock=sock, **ADA)
            cursor = database.cursor()
            cursor.execute("CREATE TABLE gone (number integer)")
            database.rollback()
            with pytest.raises(pg8000.dbapi.DatabaseError, match="does not exist"):
                cursor.execute("SELECT * FROM gone")
            database.rollback()
            database.close()

    def test_notification_goes_from_one_tunnel_to_another(self, jumper: Jumper) -> None:
        where = "postgres.example:5432"
        with jumper.connect(where, timeout=20) as one, jumper.connect(where, timeout=20) as other:
            listener = pg8000.native.Connection(sock=one, **ADA)
            sender = pg8000.native.Connection(sock=other, **ADA)
            listener.run("LISTEN news")
            sender.run("NOTIFY news, 'read all about it'")
            listener.run("SELECT 1")
            received = [(channel, text) for _, channel, text in listener.notifications]
            listener.close()
            sender.close()

        assert received == [("news", "read all about it")]
