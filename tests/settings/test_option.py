"""What settings declare about themselves."""

import pytest

from netjumper.addressing.choices import EarlyData, JumpPolicy, LogFormat, LogLevel
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.messages import expectation
from netjumper.settings.option import default_of, flag, option_of, variable
from netjumper.settings.server import ServerSettings

FIELDS = pytest.mark.parametrize(
    "info",
    [
        pytest.param(info, id=f"{model.table}.{key}")
        for model in (ServerSettings, BridgeSettings)
        for key, info in model.model_fields.items()
    ],
)


@FIELDS
def test_help_of_a_setting_is_one_line_without_a_full_stop(info):
    text = option_of(info).help
    assert text.strip() == text != ""
    assert "\n" not in text
    assert not text.endswith(".")


@FIELDS
def test_every_setting_describes_its_values(info):
    expected = expectation(info)
    assert expected.text
    takes_a_word = option_of(info).has_flag and info.annotation is not bool
    assert not takes_a_word or expected.metavar or expected.choices


@pytest.mark.parametrize(
    ("key", "enum"),
    [
        ("jump_policy", JumpPolicy),
        ("early_data", EarlyData),
        ("log_level", LogLevel),
        ("log_format", LogFormat),
    ],
)
def test_choices_are_those_of_the_enum(key, enum):
    expected = expectation(BridgeSettings.model_fields[key])
    assert expected.choices == tuple(enum)
    assert {type(it) for it in expected.choices} == {str}  # argparse shows them as they are
    for word in enum:
        settings = BridgeSettings(embedded=True, **{key: word.value})
        assert getattr(settings, key) is word


def test_server_reloads_these_settings():
    assert ServerSettings.reloadable_keys() == {
        *(
            "secret",
            "secret_file",
            "clients_file",
            "certificate_file",
            "key_file",
            "client_ca_file",
        ),
        *("allow", "deny", "nat64_prefix", "bandwidth", "bandwidth_per_client", "log_level"),
        *("max_tunnels", "max_tunnels_per_client", "max_tunnels_per_source"),
        *("max_unauthenticated", "max_auth_failures", "ban_time", "allow_weak_secret"),
    }


def test_bridge_reloads_no_setting():
    assert BridgeSettings.reloadable_keys() == frozenset()


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("socks", "127.0.0.1:1080, if no listener is given"),
        ("mixed", ""),
        ("ca_file", ""),
        ("embedded", ""),
        ("interface", ""),
        ("mark", "0"),
        ("idle_timeout", "0"),
        ("peer_timeout", "30"),
        ("log_format", "auto"),
    ],
)
def test_default_is_described(key, default):
    assert default_of(BridgeSettings.model_fields[key]) == default


def test_flags_and_variables_are_named_after_the_key():
    assert (flag("dial_timeout"), variable("dial_timeout")) == (
        "--dial-timeout",
        "NETJUMPER_DIAL_TIMEOUT",
    )
    assert (flag("fast_open", True), flag("fast_open", False)) == ("--fast-open", "--no-fast-open")
