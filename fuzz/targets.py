"""The names of the targets; each is a module with a function `check`."""

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
