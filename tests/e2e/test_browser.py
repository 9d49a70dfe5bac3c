"""Chromium through bridge and jump server: a page with thirty objects, seen as a picture."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme

from tests.support import png
from tests.support.programs import run
from tests.support.remote_network import RemoteNetwork, remote_network
from tests.support.servers import serve_in_threads, serving_context

pytestmark = pytest.mark.needs("chromium")

HOST = "pictures.example"
CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",  # root cannot use it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--ignore-certificate-errors",
]
COLUMNS, ROWS, SIDE = 6, 5, 50
COLOURS = [(8 * number, 255 - 7 * number, (97 * number) % 256) for number in range(COLUMNS * ROWS)]
"""One for each object; no other object has it."""


def page() -> str:
    """Return a page of squares: a third are images, a third get their colour from CSS or JS."""
    parts = ["<!doctype html><style>body{margin:0}.o{position:absolute;width:50px;height:50px}"]
    parts.append("</style>")
    for number in range(len(COLOURS)):
        top, left = number // COLUMNS * SIDE, number % COLUMNS * SIDE
        where = f'class="o" id="o{number}" style="top:{top}px;left:{left}px"'
        parts.append(
            (
                f'<img {where} src="/{number}.png">',
                f'<link rel="stylesheet" href="/{number}.css"><div {where}></div>',
                f'<div {where}></div><script src="/{number}.js"></script>',
            )[number % 3]
        )
    return "\n".join(parts)


def resource(path: str) -> tuple[str, bytes]:
    """Return the type and the bytes of what is at `path`."""
    if path == "/":
        return "text/html", page().encode()
    number, _, kind = path.strip("/").partition(".")
    colour = COLOURS[int(number)]
    if kind == "png":
        return "image/png", png.one_colour(colour)
    rgb = f"rgb{colour}"
    if kind == "css":
        return "text/css", f"#o{number} {{ background: {rgb} }}".encode()
    script = f"document.getElementById('o{number}').style.background = '{rgb}'"
    return "text/javascript", script.encode()


@dataclass
class Site:
    port: int
    connections: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: ClassVar[Site]

    def setup(self) -> None:
        self.site.connections.append(self.client_address)
        super().setup()

    def do_GET(self) -> None:
        self.site.paths.append(self.path)
        try:
            kind, body = resource(self.path)
        except ValueError:  # a favicon, for example
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def site(context: ssl.SSLContext | None) -> Iterator[Site]:
    """Serve the page, and keep the addresses and requests of its clients."""
    handler = type("Handler", (_Handler,), {})
    with serve_in_threads(handler, context) as port:
        handler.site = Site(port)
        yield handler.site


def take_picture(proxy: str, url: str, folder: Path) -> png.Picture:
    """Return Chromium's picture of `url` in a window of the squares' size."""
    # Without these rules Chromium also uses its own resolver, although it needs no address.
    no_lookup = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    done = run(
        [
            *CHROMIUM,
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={folder / 'net.json'}",
            f"--proxy-server={proxy}",
            "--proxy-bypass-list=<-loopback>",
            f"--host-resolver-rules={no_lookup}",
            f"--window-size={COLUMNS * SIDE},{ROWS * SIDE}",
            f"--screenshot={folder / 'page.png'}",
            url,
        ],
        env={"HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr.decode()
    return png.read((folder / "page.png").read_bytes())


def in_net_log(net_log: Path, kind: str, name: str) -> set[str]:
    """Return the values of that name in the events of that kind that Chromium logged."""
    log = json.loads(net_log.read_text())
    number = log["constants"]["logEventTypes"][kind]
    events = [event.get("params", {}) for event in log["events"] if event["type"] == number]
    return {event[name] for event in events if name in event}


def middles(picture: png.Picture) -> list[png.Colour]:
    """Return the colour in the middle of every square."""
    return [
        picture.colour_at(number % COLUMNS * SIDE + SIDE // 2, number // COLUMNS * SIDE + SIDE // 2)
        for number in range(len(COLOURS))
    ]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", ["socks5", "http"])
def test_chromium_draws_every_object_and_connects_only_to_the_bridge(
    proxy: str, scheme: str, authority: trustme.CA, tmp_path: Path
) -> None:
    context = serving_context(authority, HOST) if scheme == "https" else None
    port = {"http": 80, "https": 443}[scheme]
    with site(context) as served, remote_network({(HOST, port): ("127.0.0.1", served.port)}) as end:
        listener = listener_address(end, proxy)

        picture = take_picture(f"{proxy}://{listener}", f"{scheme}://{HOST}/", tmp_path)

    assert middles(picture) == COLOURS
    assert {f"/{n}.{('png', 'css', 'js')[n % 3]}" for n in range(30)} < set(served.paths)
    assert end.dialled == [f"{HOST}:{port}"] * len(served.connections)
    log = tmp_path / "net.json"
    assert in_net_log(log, "TCP_CONNECT_ATTEMPT", "address") == {listener}
    looked_up = in_net_log(log, "HOST_RESOLVER_MANAGER_REQUEST", "host")
    assert looked_up <= {"http://~notfound", "https://~notfound"}


def listener_address(end: RemoteNetwork, proxy: str) -> str:
    return end.http if proxy == "http" else end.socks
