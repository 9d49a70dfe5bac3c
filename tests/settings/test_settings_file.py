"""The settings file: which one is read, and what is refused in it."""

import pytest

from netjumper.settings.server import ServerSettings
from tests.support.loading import bridge_with, only_refusal, refusal


def test_settings_file_is_found_in_order(private, home, monkeypatch):
    for name, number in {
        "etc/config.toml": 1,
        "home/netjumper/config.toml": 2,
        "named": 3,
        "flag": 4,
    }.items():
        private(name, f"[bridge]\ngrace_period = {number}\n")
    top = home.parent
    monkeypatch.setenv("NETJUMPER_CONFIG", str(top / "named"))
    assert bridge_with(config=top / "flag").settings.grace_period == 4
    assert bridge_with().settings.grace_period == 3
    monkeypatch.delenv("NETJUMPER_CONFIG")
    assert bridge_with().settings.grace_period == 2
    (home / "netjumper" / "config.toml").unlink()
    assert bridge_with().settings.grace_period == 1
    (top / "etc" / "config.toml").unlink()
    assert bridge_with().settings.grace_period == 10


@pytest.mark.parametrize("xdg", [None, "relative"])
def test_default_of_xdg_config_home_is_dot_config(xdg, private, monkeypatch, tmp_path):
    private("me/.config/netjumper/config.toml", "[bridge]\ngrace_period = 7\n")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CONFIG_HOME")
    if xdg:
        monkeypatch.setenv("XDG_CONFIG_HOME", xdg)
    assert bridge_with().settings.grace_period == 7


def test_named_file_must_exist(tmp_path, monkeypatch):
    missing = tmp_path / "missing.toml"
    assert only_refusal(config=missing) == f"--config: no such file: {missing}"
    monkeypatch.setenv("NETJUMPER_CONFIG", str(missing))
    message = only_refusal()
    assert message == f"environment variable NETJUMPER_CONFIG: no such file: {missing}"


def test_directory_is_refused(tmp_path):
    assert only_refusal(config=tmp_path) == f"--config: cannot read {tmp_path}: Is a directory"


def test_malformed_file_is_reported_with_its_line(private):
    path = private("c.toml", "[bridge]\n\nsocks = [\n  nonsense\n]\n")
    message = only_refusal(config=path)
    assert "not valid TOML" in message
    assert "line 4" in message
    assert str(path) in message


@pytest.mark.parametrize(
    "text", ["[bridge]\nidle_timeout = " + "9" * 5000, "[bridge]\nsocks = " + "[" * 3000]
)
def test_extreme_toml_is_refused_in_one_line(text, private):
    message = only_refusal("--embedded", config=private("c.toml", text))
    assert "not valid TOML" in message


def test_file_that_is_not_text_is_reported_with_its_line(private):
    path = private("c.toml", b"[bridge]\n# \xff\n")
    assert only_refusal(config=path) == f"--config: {path}, line 2: not UTF-8 text"


def test_command_reads_only_its_own_table(private):
    path = private("c.toml", '[server]\nlisten = "wrong"\nnonsense = 1\n[bridge]\n')
    assert bridge_with(config=path).settings.embedded
    assert "nonsense" in only_refusal(config=path, model=ServerSettings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bridge]\ndail_timeout = 1\n", ("[bridge] dail_timeout: unknown key; "
         "did you mean dial_timeout?")),
        ("[bridge]\nnonsense = 1\n", "[bridge] nonsense: unknown key"),
        ("[bridge]\nlisten = []\n", "[bridge] listen: that is a key of [server]"),
        ("[bridges]\n", ("unknown table [bridges]; expected [server] or [bridge]; "
         "did you mean bridge?")),
        ("[other]\n", "unknown table [other]; expected [server] or [bridge]"),
        ("secret = 's3cret'\n", "secret is in no table; put it under [server] or [bridge]"),
        ("bridge = 1\n", "bridge: expected a table, [bridge]"),
        ('[bridge]\n"a\\nb" = 1\n', "[bridge] 'a\\nb': unknown key"),
    ],
)  # fmt: skip
def test_unknown_key_or_table_is_reported_with_its_line(text, message, private):
    path = private("c.toml", text)
    line = 2 if message.startswith("[bridge] ") else 1
    assert only_refusal(config=path) == f"{path}:{line}: {message}"


def test_all_unknown_keys_and_tables_are_reported(private):
    text = "# comment\n[bridge]\nx = [\n1 ]\ny = 1\n\n[other]\nz = 1\n"
    path = private("c.toml", text)
    assert refusal(config=path) == (
        f"{path}:3: [bridge] x: unknown key",
        f"{path}:5: [bridge] y: unknown key",
        f"{path}:7: unknown table [other]; expected [server] or [bridge]",
    )


def test_file_without_the_table_of_the_command_is_named_where_a_setting_is_missing(private):
    path = private("c.toml", "[server]\nlisten = [':9']\n")
    missing, note = refusal(config=path)
    assert missing.startswith("jump: no jump server given")
    assert note == f"{path} has no table [bridge]"
    assert "table" not in only_refusal(config=private("d.toml", "[bridge]\n"))
