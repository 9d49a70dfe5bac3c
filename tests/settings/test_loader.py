"""Where settings come from, which of them wins, and what is said when one is wrong."""

import argparse
import os

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.cli import bridge, server
from netjumper.cli.arguments import command_line_of
from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine


def given(*arguments, config=None, model=BridgeSettings):
    parser = (bridge if model is BridgeSettings else server).build_parser()
    files = [] if config is None else ["--config", str(config)]
    return command_line_of(parser.parse_args([*files, *arguments]), model)


def bridge_with(*arguments, config=None):
    return load(BridgeSettings, given("--embedded", *arguments, config=config))


def refusal(*arguments, config=None, model=BridgeSettings):
    """Return the lines that tell why."""
    with pytest.raises(SettingsError) as caught:
        load(model, given(*arguments, config=config, model=model))
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


def only_refusal(*arguments, **how):
    (line,) = refusal(*arguments, **how)
    return line


def test_flags_win_over_the_environment_which_wins_over_the_file(private, monkeypatch):
    path = private("c.toml", "[bridge]\ndial_timeout = 1\njump_timeout = 1\nidle_timeout = 1\n")
    monkeypatch.setenv("NETJUMPER_DIAL_TIMEOUT", "2")
    monkeypatch.setenv("NETJUMPER_JUMP_TIMEOUT", "2")
    loaded = bridge_with("--dial-timeout", "3", config=path)
    settings = loaded.settings
    assert (settings.dial_timeout, settings.jump_timeout, settings.idle_timeout) == (3, 2, 1)
    assert loaded.origin("dial_timeout") == "--dial-timeout"
    assert loaded.origin("jump_timeout") == "environment variable NETJUMPER_JUMP_TIMEOUT"
    assert loaded.origin("idle_timeout") == f"{path}:4: [bridge] idle_timeout"
    assert loaded.origin("grace_period") == "grace_period (default)"


def test_every_key_can_be_given_in_the_environment(monkeypatch):
    texts = {
        "jump": "home.example.net:1",
        "secret": "s",
        "socks": "127.0.0.1:1, 127.0.0.1:2",
        "http": "127.0.0.1:3 [::1]:4",
        "mixed": "unix:/run/a,unix:/run/b",
        "auth": "user:pass:word",
        "embedded": "off",
        "min_parked": "2",
        "max_parked": "9",
        "handshake_timeout": "1.5",
        "dial_timeout": "2",
        "jump_timeout": "3",
        "idle_timeout": "4",
        "grace_period": "0",
        "early_data": "always",
        "ca_file": "authority.pem",
        "certificate_file": "own.pem",
        "jump_policy": "fastest",
        "workers": "2",
        "peer_timeout": "60",
        "congestion_control": "bbr",
        "fast_open": "on",
        "mptcp": "on",
        "defer_accept": "on",
        "mark": "7",
        "interface": "lo",
        "source": "192.0.2.7 2001:db8::7",
        "log_level": "debug",
        "log_format": "json",
    }
    for key, text in texts.items():
        monkeypatch.setenv(f"NETJUMPER_{key.upper()}", text)
    settings = load(BridgeSettings, CommandLine()).settings
    assert settings.listeners == {
        "socks": (ListenAddress("127.0.0.1", 1), ListenAddress("127.0.0.1", 2)),
        "http": (ListenAddress("127.0.0.1", 3), ListenAddress("::1", 4)),
        "mixed": (ListenAddress.parse("unix:/run/a"), ListenAddress.parse("unix:/run/b")),
    }
    assert settings.embedded is False
    assert settings.handshake_timeout == 1.5
    assert settings.source == ("192.0.2.7", "2001:db8::7")
    assert settings.log_format == "json"
    assert settings.auth.get_secret_value() == "user:pass:word"
    assert texts.keys() == BridgeSettings.model_fields.keys() - {"secret_file", "auth_file"}


@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on"])
def test_a_switch_can_be_turned_on_in_the_environment(text, monkeypatch):
    monkeypatch.setenv("NETJUMPER_EMBEDDED", text)
    assert load(BridgeSettings, CommandLine()).settings.embedded is True


def test_a_switch_in_the_file_can_be_turned_off_by_a_flag(private):
    path = private("c.toml", "[bridge]\nembedded = true\n")
    loaded = load(
        BridgeSettings,
        given("--no-embedded", "--jump", "h:1", "--secret-file", "x", config=path),
    )
    assert loaded.settings.embedded is False


def test_embedded_on_the_command_line_beats_a_jump_host_in_the_file(private):
    path = private("c.toml", "[bridge]\njump = 'h:1'\nsecret = 's'\n")
    settings = load(BridgeSettings, given("--embedded", config=path)).settings
    assert settings.embedded
    assert settings.jump == ()


def test_a_jump_host_on_the_command_line_beats_embedded_in_the_file(private):
    path = private("c.toml", "[bridge]\nembedded = true\nsecret = 's'\n")
    settings = load(BridgeSettings, given("--jump", "h:1", config=path)).settings
    assert not settings.embedded
    assert ", ".join(str(it.address) for it in settings.jump) == "h:1"


# Which file.


def test_the_file_of_the_flag_comes_first_then_the_variables_then_the_usual_places(
    private, home, monkeypatch
):
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
def test_without_a_usable_xdg_config_home_it_is_dot_config(xdg, private, monkeypatch, tmp_path):
    private("me/.config/netjumper/config.toml", "[bridge]\ngrace_period = 7\n")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CONFIG_HOME")
    if xdg:
        monkeypatch.setenv("XDG_CONFIG_HOME", xdg)
    assert bridge_with().settings.grace_period == 7


def test_a_file_that_was_named_must_be_there(tmp_path, monkeypatch):
    missing = tmp_path / "missing.toml"
    assert only_refusal(config=missing) == f"--config: no such file: {missing}"
    monkeypatch.setenv("NETJUMPER_CONFIG", str(missing))
    told = only_refusal()
    assert told == f"environment variable NETJUMPER_CONFIG: no such file: {missing}"


def test_a_directory_is_no_settings_file(tmp_path):
    assert only_refusal(config=tmp_path) == f"--config: cannot read {tmp_path}: Is a directory"


def test_a_malformed_file_is_told_with_its_line(private):
    path = private("c.toml", "[bridge]\n\nsocks = [\n  nonsense\n]\n")
    told = only_refusal(config=path)
    assert "not valid TOML" in told
    assert "line 4" in told
    assert str(path) in told


@pytest.mark.parametrize(
    "text", ["[bridge]\nidle_timeout = " + "9" * 5000, "[bridge]\nsocks = " + "[" * 3000]
)
def test_a_file_that_only_a_machine_could_have_meant_is_one_line(text, private):
    told = only_refusal("--embedded", config=private("c.toml", text))
    assert "not valid TOML" in told


def test_a_secret_in_the_environment_may_be_any_bytes(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", os.fsdecode(b"\xff\xfe"))
    assert load(ServerSettings, CommandLine()).secret() == b"\xff\xfe"


def test_a_file_that_is_not_text_is_told_with_its_line(private):
    path = private("c.toml", b"[bridge]\n# \xff\n")
    assert only_refusal(config=path) == f"--config: {path}, line 2: not UTF-8 text"


def test_each_command_reads_its_own_table_only(private):
    path = private("c.toml", '[server]\nlisten = "wrong"\nnonsense = 1\n[bridge]\n')
    assert bridge_with(config=path).settings.embedded
    assert "nonsense" in only_refusal(config=path, model=ServerSettings)


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_what_is_unknown_in_the_file_is_named_with_its_line(text, told, private):
    path = private("c.toml", text)
    line = 2 if told.startswith("[bridge] ") else 1
    assert only_refusal(config=path) == f"{path}:{line}: {told}"


def test_everything_unknown_in_the_file_has_a_line(private):
    text = "# comment\n[bridge]\nx = [\n1 ]\ny = 1\n\n[other]\nz = 1\n"
    path = private("c.toml", text)
    assert refusal(config=path) == (
        f"{path}:3: [bridge] x: unknown key",
        f"{path}:5: [bridge] y: unknown key",
        f"{path}:7: unknown table [other]; expected [server] or [bridge]",
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("dial_timeout = '5'", ("dial_timeout: expected a number of seconds greater than 0, "
         "not '5'")),
        ("dial_timeout = true", ("dial_timeout: expected a number of seconds greater than 0, "
         "not true")),
        ("idle_timeout = -1", "idle_timeout: expected a number of seconds, 0 or more, not -1"),
        ("idle_timeout = inf", "idle_timeout: expected a number of seconds, 0 or more, not inf"),
        ("idle_timeout = nan", "idle_timeout: expected a number of seconds, 0 or more, not nan"),
        ("socks = '127.0.0.1:1'", ("socks: expected a list of HOST:PORT, [IPV6]:PORT, :PORT or "
         "unix:/path, not '127.0.0.1:1'")),
        ("socks = [1080]", ("socks: expected a list of HOST:PORT, [IPV6]:PORT, :PORT or "
         "unix:/path, not [1080]")),
        ("jump = 9527", ("jump: expected a list of HOST:PORT, HOST:PORT=WEIGHT, netjumper:// or "
         "netjumper+tls://")),
        ("jump = ['netjumper://a:s3cret@h', 5]", ("jump: expected a list of HOST:PORT, "
         "HOST:PORT=WEIGHT, netjumper:// or netjumper+tls://")),
        ("auth_file = 1", "auth_file: expected the path of a file, not 1"),
        ("auth_file = ''", "auth_file: the name of the file is empty; expected the path of a file"),
        ("embedded = 'yes'", "embedded: expected true or false, not 'yes'"),
        ("log_level = 'loud'", "log_level: expected debug, info, warning or error, not 'loud'"),
        ("log_format = 'xml'", "log_format: expected auto, rich, plain or json, not 'xml'"),
        ("secret = 4711", "secret: expected text"),
        ("auth = ['s3cret']", "auth: expected user:password"),
    ],
)  # fmt: skip
def test_a_wrong_type_in_the_file_is_told_with_what_was_expected(line, told, private):
    path = private("c.toml", f"[bridge]\n{line}\n")
    assert told_about(path) == f"{path}:2: [bridge] {told}"


def told_about(path):
    return only_refusal(config=path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dial-timeout", "soon"], ("--dial-timeout: expected a number of seconds greater than "
         "0, not 'soon'")),
        (["--socks", "nowhere"], ("--socks: port 'nowhere' is not a number from 1 to 65535; "
         "expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/path")),
        (["--max-parked", "many"], ("--max-parked: expected a whole number, 0 or more, "
         "not 'many'")),
        (["--min-parked", "1.5"], ("--min-parked: expected a whole number, 0 or more, "
         "not '1.5'")),
        (["--embedded", "--min-parked", "129"], "--min-parked: 129 is more than max_parked, 128"),
        (["--jump", "home"], ("--jump: 'home' has no port; write host:port; "
         "expected HOST:PORT, HOST:PORT=WEIGHT, netjumper:// or netjumper+tls://")),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_told_with_what_was_expected(arguments, told):
    assert only_refusal(*arguments) == told


def test_a_wrong_variable_is_told_with_its_name(monkeypatch):
    monkeypatch.setenv("NETJUMPER_GRACE_PERIOD", "later\n")
    assert only_refusal() == (
        "environment variable NETJUMPER_GRACE_PERIOD: "
        "expected a number of seconds, 0 or more, not 'later\\n'"
    )


def test_an_empty_variable_is_a_wrong_value_and_not_passed_over(private, monkeypatch):
    path = private("c.toml", "[bridge]\nauth = 'user:password'\n")
    monkeypatch.setenv("NETJUMPER_AUTH", "")
    told = only_refusal("--embedded", config=path)
    assert told == "environment variable NETJUMPER_AUTH: expected user:password"


def test_every_problem_has_a_line(monkeypatch):
    monkeypatch.setenv("NETJUMPER_DIAL_TIMEOUT", "x")
    assert len(refusal("--idle-timeout", "y", "--jump", "z")) == 3


# The secret, and who else can read it.


def secret_of(arguments=(), config=None):
    model = ServerSettings
    return load(model, given(*arguments, config=config, model=model)).secret()


def test_the_secret_comes_from_the_highest_source_in_whichever_form(private, monkeypatch):
    file = private("c.toml", "[server]\nsecret = 'from the file'\n")
    flag = private("flag", "from the flag")
    assert secret_of(config=file) == b"from the file"
    monkeypatch.setenv("NETJUMPER_SECRET_FILE", str(private("env", "from the environment\n")))
    assert secret_of(config=file) == b"from the environment"
    assert secret_of(["--secret-file", str(flag)], file) == b"from the flag"


def test_both_forms_of_the_secret_in_one_source_are_refused(private, monkeypatch):
    path = private("c.toml", "[server]\nsecret = 's3cret'\nsecret_file = 'x'\n")
    told = only_refusal(config=path, model=ServerSettings)
    assert told == (
        f"{path}:2: [server] secret: secret_file is given in the same place; remove one of them"
    )
    monkeypatch.setenv("NETJUMPER_SECRET", "s3cret")
    monkeypatch.setenv("NETJUMPER_SECRET_FILE", "x")
    assert only_refusal(model=ServerSettings).startswith("environment variable NETJUMPER_SECRET: ")


def test_a_secret_file_named_in_the_settings_file_is_looked_for_beside_it(private):
    private("deep/down/secret", "found")
    path = private("deep/down/c.toml", "[server]\nsecret_file = 'secret'\n")
    assert secret_of(config=path) == b"found"


def test_a_secret_file_named_from_home_is_looked_for_there(private, monkeypatch, tmp_path):
    private("me/secret", "found")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    path = private("deep/c.toml", "[server]\nsecret_file = '~/secret'\n")
    assert secret_of(config=path) == b"found"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
@pytest.mark.parametrize(
    "line",
    [
        "[server]\nsecret = 's3cret'",
        "[bridge]\nauth = 'me:s3cret'",
        "[bridge]\njump = ['192.0.2.1:1', 'netjumper://alice:s3cret@192.0.2.1']",
        "[bridge]\njump = 'netjumper+tls://:s3cret@192.0.2.1'",
    ],
)
def test_a_settings_file_with_a_secret_must_be_private(line, mode, private):
    path = private("c.toml", f"{line}\n", mode)
    told = only_refusal(config=path, model=ServerSettings)
    assert told == (f"--config: others can read the secret in {path}; type: chmod 600 {path}")


WITHOUT_SECRETS = """
[bridge]
secret_file = 'x'
auth_file = 'y'
jump = ['192.0.2.1:1', 'netjumper+tls://alice@[2001:db8::1]:9527?name=a']
"""


def test_a_settings_file_without_a_secret_may_be_read_by_everybody(private):
    path = private("c.toml", WITHOUT_SECRETS, 0o644)
    assert bridge_with(config=path).settings.secret_file is not None


# Variables that are no settings.


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("NETJUMPER_DAIL_TIMEOUT", ("environment variable NETJUMPER_DAIL_TIMEOUT is not a setting "
         "of netjumper; did you mean NETJUMPER_DIAL_TIMEOUT?")),
        ("NETJUMPER_XYZZY", "environment variable NETJUMPER_XYZZY is not a setting of netjumper"),
    ],
)  # fmt: skip
def test_an_unknown_variable_is_warned_about_without_its_value(name, warning, monkeypatch):
    monkeypatch.setenv(name, "s3cret")
    assert bridge_with().warnings == (warning,)


@pytest.mark.parametrize(
    "name",
    [
        "NETJUMPER_SERVICE_HOST",
        "NETJUMPER_SERVICE_PORT",
        "NETJUMPER_SERVICE_PORT_TUNNEL",
        "NETJUMPER_PORT",
        "NETJUMPER_PORT_9527_TCP_ADDR",
        "NETJUMPER_BRIDGE_SERVICE_HOST",
        "NETJUMPER_LISTEN",
        "NETJUMPER_CONFIG",
        "OTHER_THING",
    ],
)
def test_what_kubernetes_and_the_other_command_use_is_not_warned_about(name, monkeypatch, private):
    monkeypatch.setenv(name, str(private("empty", "")))
    assert bridge_with().warnings == ()


def test_a_warning_can_be_added():
    assert bridge_with().with_warning("beware").warnings == ("beware",)


def test_the_layer_of_a_command_line_holds_only_settings():
    arguments = argparse.Namespace(config="x", check=True, idle_timeout="3")
    assert command_line_of(arguments, ServerSettings).values == {"idle_timeout": "3"}
