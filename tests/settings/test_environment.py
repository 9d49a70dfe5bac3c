"""Settings in environment variables, and variables that are not settings."""

import pytest

from netjumper.addressing.listen_address import ListenAddress
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loader import load
from netjumper.settings.sources import CommandLine
from tests.support.loading import bridge_with, refusal


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
        "allow_weak_secret": "on",
        "max_auth_failures": "5",
        "ban_time": "30",
        "handshake_timeout": "1.5",
        "lookup_timeout": "3",
        "dial_timeout": "2",
        "jump_timeout": "3",
        "idle_timeout": "4",
        "grace_period": "0",
        "early_data": "always",
        "ca_file": "authority.pem",
        "certificate_file": "own.pem",
        "key_file": "own.key",
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
def test_switch_can_be_turned_on_in_the_environment(text, monkeypatch):
    monkeypatch.setenv("NETJUMPER_EMBEDDED", text)
    assert load(BridgeSettings, CommandLine()).settings.embedded is True


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("NETJUMPER_DAIL_TIMEOUT", ("environment variable NETJUMPER_DAIL_TIMEOUT is not a "
         "netjumper setting; did you mean NETJUMPER_DIAL_TIMEOUT?")),
        ("NETJUMPER_XYZZY", "environment variable NETJUMPER_XYZZY is not a netjumper setting"),
    ],
)  # fmt: skip
def test_unknown_variable_causes_a_warning_without_its_value(name, warning, monkeypatch):
    monkeypatch.setenv(name, "s3cret-of-18-bytes")
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
def test_variable_of_kubernetes_or_the_other_command_is_ignored(name, monkeypatch, private):
    monkeypatch.setenv(name, str(private("empty", "")))
    assert bridge_with().warnings == ()


def test_warning_can_be_added():
    assert bridge_with().with_warning("beware").warnings == ("beware",)


def test_unknown_variable_is_named_where_settings_are_refused(monkeypatch, private):
    monkeypatch.setenv("NETJUMPER_SECRT", "s3cret-of-18-bytes")
    hint = (
        "environment variable NETJUMPER_SECRT is not a netjumper setting; "
        "did you mean NETJUMPER_SECRET?"
    )
    missing, *more = refusal("--jump", "h:1")
    assert missing.startswith("secret: none given")
    assert more == [hint]
    assert refusal(config=private("c.toml", "[bridge]\nnonsense = 1\n"))[1:] == (hint,)
