"""Who may import whom: the layers, read from the source itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import netjumper

SOURCE = Path(netjumper.__file__).parent

LAYERS: list[list[str]] = [
    ["netjumper.errors", "netjumper.version"],
    [
        "netjumper.text",
        "netjumper.addressing.listen_address",
        "netjumper.addressing",
        "netjumper.addressing.address",
    ],
    [
        "netjumper.access_log",
        "netjumper.bridge.replay_safety",
        "netjumper.bridge.upstream.early_data",
        "netjumper.protocol",
        "netjumper.protocol.handshake",
        "netjumper.dial_errors",
        "netjumper.addressing.target_rules",
        "netjumper.addressing.jump_url",
        "netjumper.addressing.source_network",
        "netjumper.tls.psk",
        "netjumper.sessions.ban_list",
    ],
    ["netjumper.server.guard"],
    ["netjumper.protocol.wire"],
    [
        "netjumper.bridge.credentials",
        "netjumper.bridge.protocol_detection",
        "netjumper.bridge.replies",
    ],
    ["netjumper.bridge.http.messages"],
    ["netjumper.bridge.http.server_connection"],
    [
        "netjumper.bridge.http.handshake",
        "netjumper.bridge.http.client_connection",
        "netjumper.bridge.socks",
        "netjumper.bridge.http.headers",
    ],
    ["netjumper.bridge.http.exchange", "netjumper.bridge.http.routing"],
    ["netjumper.bridge.http.forwarding"],
    [
        "netjumper.tls.endpoint",
        "netjumper.tls.engine",
        "netjumper.tls.errors",
        "netjumper.relay",
        "netjumper.bridge.upstream.route_monitor",
        "netjumper.bridge.http.write_buffer",
        "netjumper.daemon.socket_activation",
        "netjumper.net",
    ],
    ["netjumper.sessions.admission", "netjumper.server.clients"],
    [
        "netjumper.sessions.parked_sessions",
        "netjumper.sessions.handshake_phase",
        "netjumper.sessions.session",
        "netjumper.sessions.tunnel",
        "netjumper.sessions",
        "netjumper.sessions.manager",
        "netjumper.sessions.service",
    ],
    [
        "netjumper.bridge.upstream.peak_demand",
        "netjumper.bridge.upstream.hedge_budget",
        "netjumper.bridge.upstream.idle_limit",
        "netjumper.bridge.upstream.balancing",
    ],
    ["netjumper.bridge.upstream.path_stats"],
    ["netjumper.fileio"],
    ["netjumper.tls.certificates"],
    ["netjumper.tls", "netjumper.tls.context"],
    [
        "netjumper.client.background_loop",
        "netjumper.client.blocking",
        "netjumper.client.encryption",
        "netjumper.client.plain_socket",
        "netjumper.client",
        "netjumper.client.jump_host",
    ],
    ["netjumper.bridge.upstream.longevity_probe"],
    ["netjumper.bridge.upstream.pool"],
    ["netjumper.bridge.upstream.request"],
    ["netjumper.bridge.upstream.upstream"],
    [
        "netjumper.client.jumper",
        "netjumper.server.jump_server",
        "netjumper.server",
        "netjumper.bridge.bridge",
        "netjumper.bridge",
    ],
    ["netjumper.integrations"],
    ["netjumper"],
    [
        "netjumper.__main__",
        "netjumper.settings",
        "netjumper.logs",
        "netjumper.daemon",
        "netjumper.diagnostics",
        "netjumper.app",
        "netjumper.settings.common",
        "netjumper.settings.server",
        "netjumper.settings.bridge",
        "netjumper.settings.sockets",
        "netjumper.settings.types",
        "netjumper.cli",
        "netjumper.logs.terminal",
    ],
]
"""Lowest first; a package stands for all its modules that are not named themselves."""

LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
SANS_IO = LEVELS["netjumper.net"]
FACE = LEVELS["netjumper.cli"]
UPWARDS = {("netjumper.client.jumper", "netjumper.integrations.httpx")}
"""The one import that goes up: a method's own, for who calls it."""
INTEGRATIONS_NEED = {
    "netjumper.integrations": set(),
    "netjumper.integrations._jumper": set(),
    "netjumper.integrations.aiohttp": {"aiohttp"},
    "netjumper.integrations.httpx": {"anyio", "httpcore", "httpx"},
    "netjumper.integrations.requests": {"requests", "urllib3"},
    "netjumper.integrations.urllib3": {"urllib3"},
}
NETWORK_MAY_KNOW = {
    "netjumper.errors",
    "netjumper.text",
    "netjumper.addressing.address",
    "netjumper.addressing.listen_address",
    "netjumper.dial_errors",
}
FORBIDDEN_WITHOUT_IO = {
    "asyncio", "select", "selectors", "signal", "ssl", "subprocess", "threading", "time",
}  # fmt: skip
SPEAKS_HTTP = {
    f"netjumper.bridge.http.{name}"
    for name in (
        "client_connection",
        "exchange",
        "forwarding",
        "handshake",
        "headers",
        "messages",
        "routing",
        "server_connection",
    )
}
SOCKET_WORDS = {"EAI_AGAIN", "EAI_NODATA", "EAI_NONAME", "gaierror"}
"""What a module without I/O may use of `socket`: constants and a class."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}


def level_of(module: str) -> int:
    """Return the layer of a module: its own, or that of the nearest package that has one."""
    while module not in LEVELS:
        module = module.rpartition(".")[0]
    return LEVELS[module]


def statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Find the imports at any depth; of other packages not those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from (it for it in statements(child) if "netjumper" in ast.unparse(it))
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from statements(child)


def imports(module: str) -> set[str]:
    """Return the modules that `module` imports, by their full names."""
    found = set()
    for statement in statements(TREES[module]):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
            continue
        assert statement.level == 0, f"{module}: a relative import"
        origin = str(statement.module)
        for alias in statement.names:
            inner = f"{origin}.{alias.name}"
            found.add(inner if inner in TREES else origin)
    return found


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name.split(".")[0] == "netjumper"}


def others(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)} - {"netjumper"}


every_module = pytest.mark.parametrize("module", sorted(TREES))
sans_io_modules = [name for name in sorted(TREES) if level_of(name) < SANS_IO]
network_modules = [name for name in sorted(TREES) if level_of(name) == SANS_IO]


@every_module
def test_every_module_has_its_layer(module: str) -> None:
    assert level_of(module) != LEVELS["netjumper"] or module == "netjumper", (
        f"{module} is new: give it a place in LAYERS"
    )


@every_module
def test_imports_go_down_the_layers_only(module: str) -> None:
    above = {name for name in ours(module) if level_of(name) > level_of(module)}
    assert not {name for name in above if (module, name) not in UPWARDS}


def test_imports_never_go_in_a_circle() -> None:
    assert list(TopologicalSorter({module: ours(module) for module in TREES}).static_order())


@pytest.mark.parametrize("module", sans_io_modules)
def test_a_protocol_does_no_input_or_output_and_knows_no_clock(module: str) -> None:
    assert not others(module) & FORBIDDEN_WITHOUT_IO
    used = {
        node.attr
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "socket"
    }
    assert used <= SOCKET_WORDS


@pytest.mark.parametrize("module", sans_io_modules)
def test_a_protocol_takes_the_socket_module_as_a_whole(module: str) -> None:
    names = [s.module for s in statements(TREES[module]) if isinstance(s, ast.ImportFrom)]
    assert "socket" not in names


@pytest.mark.parametrize("module", [name for name in sans_io_modules if ".bridge." in name])
def test_the_bridges_protocols_do_not_even_name_sockets(module: str) -> None:
    assert "socket" not in others(module)


@pytest.mark.parametrize("module", network_modules)
def test_the_network_knows_no_protocol(module: str) -> None:
    beyond = {name for name in ours(module) if level_of(name) != SANS_IO}
    assert beyond <= NETWORK_MAY_KNOW


@every_module
def test_below_the_face_there_is_only_the_standard_library(module: str) -> None:
    foreign = others(module) - sys.stdlib_module_names
    if module in SPEAKS_HTTP:
        assert foreign == {"h11"}
    elif module in INTEGRATIONS_NEED:
        assert foreign == INTEGRATIONS_NEED[module]
    elif level_of(module) < FACE:
        assert not foreign
        assert "argparse" not in others(module)
    else:
        assert "h11" not in foreign


def test_only_the_composition_and_the_command_line_know_the_settings() -> None:
    knowing = {
        module.split(".")[1]
        for module in TREES
        if any(name.startswith("netjumper.settings") for name in ours(module))
    }
    assert knowing == {"settings", "app", "cli"}


def test_the_layers_name_no_module_that_is_gone() -> None:
    packages = {name.rpartition(".")[0] for name in TREES}
    assert set(LEVELS) <= TREES.keys() | packages


def test_the_library_pulls_in_no_other_package() -> None:
    code = "import sys, netjumper; print(*sorted(sys.modules))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    loaded = {name.split(".")[0] for name in found.stdout.split()}
    assert "netjumper" in loaded
    assert not loaded & {"h11", "pydantic", "pydantic_settings", "rich", "argparse"}
    assert not loaded & {"aiohttp", "anyio", "httpcore", "httpx", "requests", "urllib3"}
