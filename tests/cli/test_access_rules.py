"""Access rules as settings: from every source, and invalid ones."""

import pytest

from netjumper.cli import server
from netjumper.cli.arguments import command_line_of
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings

NEEDED = ["--listen", "127.0.0.1:0", "--check"]
RULE = "expected NETWORK, NAME or .NAME, each with or without :PORT, or :PORT"


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", "s3cret-of-18-bytes")


def rules(*arguments: str, config: str | None = None) -> tuple[list[str], list[str]]:
    files = [] if config is None else ["--config", config]
    parsed = server.build_parser().parse_args([*NEEDED, *files, *arguments])
    settings = load(ServerSettings, command_line_of(parsed, ServerSettings)).settings
    return [str(it) for it in settings.allow], [str(it) for it in settings.deny]


def test_rules_are_empty_by_default():
    assert rules() == ([], [])


def test_flags_can_be_repeated():
    given = ["--allow", "192.168.1.0/24", "--allow", ":25", "--deny", "*"]
    assert rules(*given) == (["192.168.1.0/24", ":25"], ["*"])


def test_variable_separates_rules_with_commas(monkeypatch):
    monkeypatch.setenv("NETJUMPER_DENY", ".example.org, [2001:db8::]/32:22")
    assert rules() == ([], [".example.org", "[2001:db8::]/32:22"])


def test_settings_file_has_lists_of_rules(private):
    path = private("c.toml", "[server]\nallow = ['fd00::/8']\ndeny = ['example.org:80-90']\n")
    assert rules(config=str(path)) == (["[fd00::]/8"], ["example.org:80-90"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--allow", "*"], (
            "--allow: * permits nothing that is refused by default; name networks, "
            "such as 192.168.1.0/24"
        )),
        (["--allow", "192.168.1.1/24"], (
            "--allow: '192.168.1.1/24' is an address within a network; "
            f"write 192.168.1.0/24; {RULE}"
        )),
        (["--deny", "http://example.org/"], (
            "--deny: 'http://example.org/': write a host, a network or a port without http://; "
            f"{RULE}"
        )),
        (["--nat64-prefix", "64:ff9b:1::/47"], (
            "--nat64-prefix: '64:ff9b:1::/47' is not an IPv6 network; "
            "expected an IPv6 network, such as 64:ff9b:1::/96"
        )),
        (["--nat64-prefix", "2001:db8::/33"], (
            "--nat64-prefix: '2001:db8::/33': the length of a NAT64 prefix is one of 32, 40, 48, "
            "56, 64, 96; expected an IPv6 network, such as 64:ff9b:1::/96"
        )),
        (["--deny", ""], f"--deny: the rule is empty; {RULE}"),
    ],
)  # fmt: skip
def test_invalid_rule_is_reported_with_a_valid_one(arguments, message, capsys):
    assert server.main([*NEEDED, *arguments]) == 2
    assert capsys.readouterr().err == f"netjumper: {message}\n"
