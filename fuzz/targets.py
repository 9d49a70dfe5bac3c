"""The targets by name; each is a module of that name with a `check`."""

from pathlib import Path

TARGETS = (
    "wire_client",
    "wire_server",
    "socks",
    "http_proxy",
    "http_request",
    "http_answer",
    "mixed",
    "settings_file",
    "settings_text",
    "addresses",
    "error_texts",
)
HERE = Path(__file__).parent
SEEDS, CRASHES = HERE / "seeds", HERE / "crashes"
