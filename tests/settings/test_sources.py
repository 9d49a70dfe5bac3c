"""The sources of settings: which wins, and where each value came from."""

import pytest

from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import load
from netjumper.settings.sources import CommandLine, Origin, OriginKind

VARIABLE = "environment variable NETJUMPER_"


@pytest.fixture
def load_bridge(private, monkeypatch):
    """Return what loads settings out of flags, variables and lines of a file."""

    def give(flags=(), variables=(), lines=(), with_secret=True):
        for key, text in dict(variables).items():
            monkeypatch.setenv(f"NETJUMPER_{key.upper()}", text)
        path = private("c.toml", "\n".join(["[bridge]", *lines]))
        given = CommandLine(config=str(path))
        for key, value in dict(flags).items():
            given.give(key, value, f"--{key}")
        if with_secret:
            given.give("secret", "s", "SECRET")
        return path, load(BridgeSettings, given)

    return give


def test_each_kind_of_origin_is_recorded(load_bridge):
    path, loaded = load_bridge({"jump": ["h:1"]}, {"mark": "1"}, ["", "mptcp = true"])
    assert loaded.origins == {
        "jump": Origin(OriginKind.COMMAND_LINE, "--jump"),
        "secret": Origin(OriginKind.COMMAND_LINE, "SECRET"),
        "mark": Origin(OriginKind.ENVIRONMENT, f"{VARIABLE}MARK"),
        "mptcp": Origin(OriginKind.FILE, f"{path}:3", "[bridge] mptcp"),
    }
    assert [loaded.origin(key) for key in ("jump", "mark", "mptcp", "workers")] == [
        "--jump",
        f"{VARIABLE}MARK",
        f"{path}:3: [bridge] mptcp",
        "workers (default)",
    ]


def test_value_has_the_origin_that_wins(load_bridge):
    path, loaded = load_bridge(
        {"jump": ["h:1"], "mark": "3"},
        {"mark": "2", "interface": "two"},
        ["mark = 1", "interface = 'one'", "jump = 'x:1'", "source = ['::1']"],
    )
    settings = loaded.settings
    assert (settings.mark, settings.interface, settings.source) == (3, "two", ("::1",))
    assert {key: it.place for key, it in loaded.origins.items() if key != "secret"} == {
        "jump": "--jump",
        "mark": "--mark",
        "interface": f"{VARIABLE}INTERFACE",
        "source": f"{path}:5",
    }


@pytest.mark.parametrize(
    ("flags", "variables", "lines", "origin"),
    [
        ({"embedded": True}, {}, ["jump = 'h:1'"], "--embedded"),
        ({}, {"embedded": "on"}, ["jump = 'h:1'"], f"{VARIABLE}EMBEDDED"),
        ({"jump": ["h:1"]}, {"embedded": "on"}, ["embedded = true"], "--jump"),
        ({"embedded": False}, {"jump": "h:1"}, ["embedded = true"], f"{VARIABLE}JUMP"),
    ],
)
def test_higher_source_wins_between_exclusive_settings(
    flags, variables, lines, origin, load_bridge
):
    _, loaded = load_bridge(flags, variables, lines)
    settings = loaded.settings
    assert bool(settings.jump) is not settings.embedded
    assert loaded.origin("embedded" if settings.embedded else "jump") == origin
    assert loaded.is_from_command_line("jump") is (origin == "--jump")


def test_excluded_value_has_no_origin(load_bridge):
    _, loaded = load_bridge({"embedded": True}, {}, ["jump = 'h:1'"])
    assert loaded.origin("jump") == "jump (default)"


def test_secret_file_of_a_lower_source_is_ignored(load_bridge):
    _, loaded = load_bridge({"jump": ["h:1"]}, {"secret_file": "x"}, ["secret_file = 'y'"])
    assert loaded.settings.secret_file is None
    assert "secret_file" not in loaded.origins


def test_command_line_over_another_keeps_its_other_settings():
    upper, lower = CommandLine(), CommandLine(config="c.toml")
    upper.give("mark", "1", "--mark")
    lower.give("mark", "2", "running")
    lower.give("jump", ["h:1"], "running")
    both = upper.over(lower)
    assert both.values == {"mark": "1", "jump": ["h:1"]}
    assert both.origins == {"mark": "--mark", "jump": "running"}
    assert both.config == "c.toml"
    assert CommandLine(config="own").over(lower).config == "own"
