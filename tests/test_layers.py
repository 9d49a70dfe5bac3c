"""Which folder may import which, and what each must do without: read from the source itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

import pytest

from structure import PACKAGE, all_imports, imports, module_trees

ROOMS: Mapping[str, set[str]] = {
    "errors": set(),
    "text": set(),
    "fileio": set(),
    "access_log": set(),
    "version": set(),
    "addressing": {"errors", "text"},
    "dial_errors": {"errors"},
    "protocol": {"addressing", "dial_errors", "errors", "text"},
    "net": {"addressing", "dial_errors", "errors", "text"},
    "relay": {"net"},
    "tls": {"errors", "fileio", "net"},
    "sessions": {
        "access_log", "addressing", "dial_errors", "errors", "net", "protocol", "relay", "tls",
    },
    "client": {
        "addressing", "dial_errors", "errors", "fileio", "net", "protocol", "relay", "tls",
    },
    "server": {
        "access_log", "addressing", "dial_errors", "errors", "net", "protocol", "sessions", "tls",
    },
    "bridge": {
        "access_log", "addressing", "client", "errors", "net", "protocol", "relay", "sessions",
        "text",
    },
    "logs": {"access_log", "addressing", "text"},
    "daemon": {"addressing", "errors", "logs", "net", "sessions", "text"},
    "diagnostics": {"addressing", "client", "errors", "net", "protocol", "text", "tls"},
    "settings": {"addressing", "errors", "fileio", "text"},
    "app": {
        "addressing", "bridge", "client", "daemon", "diagnostics", "errors", "net", "server",
        "sessions", "settings", "text", "tls",
    },
    "cli": {
        "addressing", "app", "daemon", "diagnostics", "errors", "logs", "settings", "text", "tls",
        "version",
    },
    "integrations": {"addressing", "errors"},
    "__init__": {"addressing", "client", "errors", "tls", "version"},
    "__main__": {"cli"},
}  # fmt: skip
"""What each folder, or module beside them, imports; those that it may import stand above it."""

EXCEPTIONS = {("netjumper.client.jumper", "netjumper.integrations.httpx")}
"""`Jumper.httpx_transport` and its like import their integration when they are called."""
OTHER_PACKAGES = {
    "bridge/http": {"h11"},
    "settings": {"pydantic", "pydantic_core", "pydantic_settings"},
    "logs/terminal": {"rich"},
    "cli/keygen": {"cryptography"},
    "cli/share": {"segno"},
    "integrations/aiohttp": {"aiohttp"},
    "integrations/httpx": {"anyio", "httpcore", "httpx"},
    "integrations/requests": {"requests", "urllib3"},
    "integrations/urllib3": {"urllib3"},
}
"""Where packages that are not in the standard library may be imported, and which."""
SANS_IO = (
    "access_log",
    "addressing",
    "bridge/credentials",
    "bridge/http/client_connection",
    "bridge/http/exchange",
    "bridge/http/forwarding",
    "bridge/http/handshake",
    "bridge/http/headers",
    "bridge/http/messages",
    "bridge/http/routing",
    "bridge/http/server_connection",
    "bridge/protocol_detection",
    "bridge/replay_safety",
    "bridge/replies",
    "bridge/socks",
    "bridge/upstream/balancing",
    "bridge/upstream/early_data",
    "bridge/upstream/hedge_budget",
    "bridge/upstream/idle_limit",
    "bridge/upstream/path_stats",
    "bridge/upstream/peak_demand",
    "dial_errors",
    "errors",
    "protocol",
    "server/guard",
    "sessions/ban_list",
    "text",
    "tls/engine",
    "tls/psk",
    "version",
)
"""What has no input and output, no event loop and no clock: it takes the time as an argument."""
IO_MODULES = {
    "asyncio", "select", "selectors", "signal", "ssl", "subprocess", "threading", "time",
}  # fmt: skip
MAY_USE_SSL = {"netjumper.tls.engine"}
"""`ssl` works in memory there."""
SOCKET_CONSTANTS = {"EAI_AGAIN", "EAI_NODATA", "EAI_NONAME", "gaierror"}
"""What errors may use of `socket`: constants and a class."""

TREES = module_trees(PACKAGE)
every_module = pytest.mark.parametrize("module", sorted(TREES))


def path_of(module: str) -> str:
    """Return the place of a module in the package: folder and name, without `.py`."""
    return module.partition(".")[2].replace(".", "/") or "__init__"


def room_of(module: str) -> str:
    return path_of(module).partition("/")[0]


def is_in(module: str, place: str) -> bool:
    """Whether a module is this one, or in this folder."""
    return f"{path_of(module)}/".startswith(f"{place}/")


def without_type_checking(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from without_type_checking(child)


def others(module: str) -> set[str]:
    """Return the packages that a module imports beside this one."""
    statements = list(without_type_checking(TREES[module]))
    found = set().union(*(all_imports(it, TREES) for it in statements))
    return {name.partition(".")[0] for name in found} - {"netjumper"}


def sans_io() -> list[str]:
    return [module for module in sorted(TREES) if any(is_in(module, it) for it in SANS_IO)]


@every_module
def test_module_imports_only_what_its_room_may(module: str) -> None:
    assert room_of(module) in ROOMS, "a new room: add it to ROOMS and to docs/design.md"
    allowed = ROOMS[room_of(module)] | {room_of(module)}
    assert {
        name
        for name in imports(module, TREES)
        if room_of(name) not in allowed and (module, name) not in EXCEPTIONS
    } == set()


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_all_that_the_table_allows(room: str) -> None:
    modules = [module for module in TREES if room_of(module) == room]
    used = {room_of(name) for module in modules for name in imports(module, TREES)}
    assert ROOMS[room] <= used


def test_rooms_import_only_rooms_above_them_in_the_table() -> None:
    above: set[str] = set()
    for room, allowed in ROOMS.items():
        assert allowed <= above, room
        above.add(room)


def test_every_exception_is_still_needed() -> None:
    assert {pair for pair in EXCEPTIONS if pair[1] in imports(pair[0], TREES)} == EXCEPTIONS


def test_imports_have_no_circle() -> None:
    graph = {module: imports(module, TREES) for module in TREES}
    assert list(TopologicalSorter(graph).static_order())


@every_module
def test_imports_are_absolute(module: str) -> None:
    statements = [it for it in ast.walk(TREES[module]) if isinstance(it, ast.ImportFrom)]
    assert [it for it in statements if it.level] == []


@pytest.mark.parametrize("module", sans_io())
def test_sans_io_module_uses_no_loop_no_socket_and_no_clock(module: str) -> None:
    forbidden = IO_MODULES - {"ssl"} if module in MAY_USE_SSL else IO_MODULES
    assert not others(module) & forbidden
    names = {
        node.attr
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "socket"
    }
    allowed = SOCKET_CONSTANTS if module in {"netjumper.errors", "netjumper.dial_errors"} else set()
    assert names <= allowed
    statements = [it for it in ast.walk(TREES[module]) if isinstance(it, ast.ImportFrom)]
    assert "socket" not in [it.module for it in statements]


@pytest.mark.parametrize("place", SANS_IO)
def test_place_without_io_exists(place: str) -> None:
    assert any(is_in(module, place) for module in TREES)


@every_module
def test_only_its_own_place_imports_another_package(module: str) -> None:
    places = [packages for place, packages in OTHER_PACKAGES.items() if is_in(module, place)]
    allowed: set[str] = set().union(*places)
    assert others(module) - sys.stdlib_module_names <= allowed


@pytest.mark.parametrize("place", OTHER_PACKAGES)
def test_place_imports_every_package_that_it_may(place: str) -> None:
    used = set().union(*(others(module) for module in TREES if is_in(module, place)))
    assert OTHER_PACKAGES[place] <= used


@every_module
def test_only_the_command_line_imports_argparse(module: str) -> None:
    assert room_of(module) == "cli" or "argparse" not in others(module)


def test_library_loads_no_other_package() -> None:
    code = "import sys, netjumper; print(*sorted(sys.modules))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    loaded = {name.split(".")[0] for name in found.stdout.split()}
    assert "netjumper" in loaded
    assert not loaded & {"argparse", *set().union(*OTHER_PACKAGES.values())}


def test_upstream_loads_no_http_parser() -> None:
    code = "import sys, netjumper.bridge.upstream.upstream; print(*sorted(sys.modules))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "h11" not in found.stdout.split()
