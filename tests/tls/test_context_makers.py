"""Every SSL context is made where truncation is made an error; the source itself is read."""

import ast
import ssl
from collections.abc import Iterator
from pathlib import Path

import netjumper
from netjumper.tls.context import default_context, tls_13_context
from tests.support.fixtures import IGNORES_TRUNCATION

SOURCE = Path(netjumper.__file__).parent
MAKERS = {
    *("SSLContext", "create_default_context", "_create_unverified_context"),
    *("_create_default_https_context", "_create_stdlib_context"),
    *("create_ssl_context", "create_urllib3_context"),
    *("HTTPSConnection", "get_server_certificate", "urlopen", "wrap_socket"),
}
"""Functions and classes that make a context, or use one of their own."""
MAY_CALL_THEM = {
    ("tls/context.py", "_detect_truncation(ssl.SSLContext(protocol))"),
    ("tls/context.py", "_detect_truncation(ssl.create_default_context())"),
    # A method of a context that is given.
    ("diagnostics/download.py", "tls.wrap_socket(sock, server_hostname=host)"),
    # httpx's own, as without us: in HTTP an answer's length says whether it is complete.
    (
        "integrations/httpx.py",
        "httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)",
    ),
}


def name_of(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def makers(node: ast.AST, around: ast.AST | None = None) -> Iterator[str]:
    """Find the calls of `MAKERS`, each with a call around it that takes its result at once."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and name_of(child.func) in MAKERS:
            yield ast.unparse(around or child)
        yield from makers(child, child if isinstance(child, ast.Call) else None)


def test_every_context_detects_truncation() -> None:
    found = {
        (str(path.relative_to(SOURCE)), call)
        for path in SOURCE.rglob("*.py")
        for call in makers(ast.parse(path.read_text()))
    }
    assert found == MAY_CALL_THEM


def test_option_that_ignores_truncation_is_cleared(ssl_defaults: None) -> None:
    for context in (
        tls_13_context(ssl.PROTOCOL_TLS_CLIENT),
        tls_13_context(ssl.PROTOCOL_TLS_SERVER),
        default_context(),
    ):
        assert not context.options & IGNORES_TRUNCATION
