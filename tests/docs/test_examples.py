"""The Python examples of README.md and docs/library.md, run word for word.

Each is run by a Python of its own, as a reader who copies it would run it: after the lines that
make the `jumper`. Only the jump host's address is replaced. The jump server resolves
`www.example.org` to servers on loopback, and the environment tells OpenSSL and requests which
authority to trust.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.programs import run, web_server
from tests.support.remote_network import RemoteNetwork, remote_network
from tests.support.servers import serving_context

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


README, CODE = examples("README.md"), examples("docs/library.md")
JUMPER = CODE[0][: CODE[0].index("\n\nwith ")] + "\n\n"
WAYS = [
    "jumper.connect",
    "jumper.open_connection",
    "jumper.httpx_client",
    "jumper.httpx_async_client",
    "JumperSession",
    "JumperConnector",
    "JumperPoolManager",
]
"""Into the library; docs/library.md has an example for each, in this order."""
HOST, JUMP, JUMP_SECRET = "www.example.org", "home.example.net:9527", "the secret"


@pytest.fixture(scope="module")
def end(authority: trustme.CA) -> Iterator[RemoteNetwork]:
    context = serving_context(authority, HOST)
    with web_server() as http_port, web_server(context) as https_port:
        names = {
            (HOST, 80): ("127.0.0.1", http_port),
            (HOST, 443): ("127.0.0.1", https_port),
        }
        with remote_network(names, JUMP_SECRET.encode()) as end:
            yield end


def run_example(code: str, end: RemoteNetwork, ca_file: Path, folder: Path) -> str:
    """Return what it prints."""
    whole = code if code.startswith(JUMPER) else JUMPER + code
    assert JUMP in whole
    assert f'"{JUMP_SECRET}"' in whole
    example = folder / "example.py"
    example.write_text(whole.replace(JUMP, end.jump), encoding="utf-8")
    done = run(
        [sys.executable, "-W", "error", str(example)],
        env={"SSL_CERT_FILE": str(ca_file), "REQUESTS_CA_BUNDLE": str(ca_file)},
    )
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    return done.stdout.decode()


def over_http(code: str) -> str:
    """Return the same example with a URL, or an address, without TLS."""
    return code.replace("https://", "http://").replace(":443", ":80").replace(", ssl=True", "")


def test_there_is_an_example_for_each_way_into_the_library() -> None:
    assert len(CODE) == len(WAYS)
    assert all(f"{way}(" in code for way, code in zip(WAYS, CODE, strict=True))


def test_the_readmes_example_is_the_first_of_the_librarys_page() -> None:
    assert CODE[:1] == README


@pytest.mark.parametrize("way", WAYS)
def test_an_example_fetches_a_page_over_http(
    way: str, end: RemoteNetwork, ca_file: Path, tmp_path: Path
) -> None:
    end.dialled.clear()

    printed = run_example(over_http(CODE[WAYS.index(way)]), end, ca_file, tmp_path)

    assert printed.startswith(("you requested / of www.example.org", "HTTP/1.1 200 OK"))
    assert end.dialled == [f"{HOST}:80"]


@pytest.mark.parametrize("way", WAYS[1:])  # a bare socket has no TLS
def test_an_example_fetches_a_page_over_https(
    way: str, end: RemoteNetwork, ca_file: Path, tmp_path: Path
) -> None:
    end.dialled.clear()

    printed = run_example(CODE[WAYS.index(way)], end, ca_file, tmp_path)

    assert printed.startswith(("you requested / of www.example.org", "HTTP/1.1 200 OK"))
    assert end.dialled == [f"{HOST}:443"]
