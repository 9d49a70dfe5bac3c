"""The settings' keys, defaults and rules, and the example file that shows them."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from netjumper.addressing.address import Address
from netjumper.addressing.jump_url import JumpUrl
from netjumper.addressing.listen_address import ListenAddress
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.server import ServerSettings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
NEEDED = {
    ServerSettings: {"secret": "s3cret-value"},
    BridgeSettings: {"secret": "s3cret-value", "jump": "home.example.net:9527"},
}
MODELS = pytest.mark.parametrize("model", [ServerSettings, BridgeSettings])


def problem(model, **values):
    """Return the one rule that the values break."""
    with pytest.raises(ValidationError) as caught:
        model(**{**NEEDED[model], **values})
    (error,) = caught.value.errors()
    return error.get("ctx", {}).get("key"), error["msg"]


@MODELS
def test_example_file_states_every_default(model):
    stated = tomllib.loads(EXAMPLE.read_text())[model.table]
    default = model(**NEEDED[model])
    assert stated
    for key, value in model(**stated, **NEEDED[model]):
        if key in stated:
            assert value == getattr(default, key), key


@MODELS
def test_example_file_names_every_key_once(model):
    table = re.split(r"^\[(\w+)\]$", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = dict(zip(table[1::2], table[2::2], strict=True))[model.table]
    named = re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE)
    assert sorted(named) == sorted(model.model_fields)


@MODELS
def test_example_file_explains_every_paragraph_of_keys(model):
    text = EXAMPLE.read_text().partition(f"[{model.table}]\n")[2].partition("\n[")[0]
    for paragraph in text.strip().split("\n\n"):
        assert re.match(r"# [A-Z].*\.", paragraph, re.DOTALL), paragraph


@MODELS
def test_keys_without_a_default_are_commented_out_in_the_example_file(model):
    stated = tomllib.loads(EXAMPLE.read_text())[model.table]
    absent = {key for key in model.model_fields if key not in stated}
    empty = {key for key, field in model.model_fields.items() if field.default is None}
    assert absent == empty | (NEEDED[model].keys() & {"jump"})


@MODELS
def test_secret_is_not_in_the_text_of_the_settings(model):
    values = dict(NEEDED[model])
    if model is BridgeSettings:
        values["auth"] = "alice:s3cret-value"
    settings = model(**values)
    assert "s3cret-value" not in f"{settings!r} {settings}"


@MODELS
def test_rejected_value_is_not_in_the_error_text(model):
    with pytest.raises(ValidationError) as caught:
        model(**{**NEEDED[model], "secret": ["s3cret-value"]})
    assert "s3cret-value" not in str(caught.value)


@MODELS
def test_settings_are_immutable(model):
    settings = model(**NEEDED[model])
    with pytest.raises(ValidationError, match="frozen"):
        settings.idle_timeout = 1.0


@MODELS
def test_model_does_not_read_the_environment(model, monkeypatch):
    monkeypatch.setenv("NETJUMPER_IDLE_TIMEOUT", "77")
    assert model(**NEEDED[model]).idle_timeout == 0


@pytest.mark.parametrize("key", ["handshake_timeout", "dial_timeout", "jump_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "5"])
def test_timeout_is_a_positive_finite_number(key, value):
    with pytest.raises(ValidationError):
        BridgeSettings(**NEEDED[BridgeSettings], **{key: value})


@pytest.mark.parametrize("key", ["idle_timeout", "grace_period"])
def test_idle_timeout_and_grace_period_may_be_zero(key):
    assert getattr(ServerSettings(secret="s", **{key: 0}), key) == 0
    for value in (-0.5, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            ServerSettings(secret="s", **{key: value})


def test_server_listens_on_all_addresses_by_default():
    assert ServerSettings(secret="s").listen == (ListenAddress.parse(":9527"),)


def test_several_jump_servers_can_have_weights():
    both = ["home.example.net:9527=3", "[::1]:9527"]
    settings = BridgeSettings(secret="s", jump=both, jump_policy="spread")
    assert settings.jump == (
        JumpUrl(Address("home.example.net", 9527), 3),
        JumpUrl(Address("::1", 9527)),
    )


def test_several_jump_servers_can_be_given_in_one_text():
    assert BridgeSettings(secret="s", jump="h:1,i:2").jump == (
        JumpUrl(Address("h", 1)),
        JumpUrl(Address("i", 2)),
    )


@pytest.mark.parametrize(
    ("jump", "message"),
    [
        (["h:1", "h:1"], "h:1 is given twice"),
        (["h:1=2", "i:1"], "h:1 has a weight, which requires jump_policy spread"),
    ],
)
def test_conflicting_jump_servers_are_refused(jump, message):
    assert problem(BridgeSettings, jump=jump) == ("jump", message)


@pytest.mark.parametrize("weight", ["", "0", "1001", "x", "-1", "1.5", "\u0663", "9" * 5000])
def test_weight_is_a_whole_number(weight):
    with pytest.raises(ValidationError, match="is not a number from 1 to 1000"):
        BridgeSettings(secret="s", jump=f"h:1={weight}", jump_policy="spread")


def test_bridge_listens_for_socks_and_http_on_loopback_by_default():
    settings = BridgeSettings(**NEEDED[BridgeSettings])
    assert settings.jump == (JumpUrl(Address("home.example.net", 9527)),)
    assert settings.listeners == {
        "socks": (ListenAddress("127.0.0.1", 1080),),
        "http": (ListenAddress("127.0.0.1", 8118),),
        "mixed": (),
    }


@pytest.mark.parametrize("key", ["socks", "http", "mixed"])
def test_given_listener_replaces_the_default_ones(key):
    settings = BridgeSettings(**NEEDED[BridgeSettings], **{key: ["127.0.0.1:5000"]})
    given = {name: addresses for name, addresses in settings.listeners.items() if addresses}
    assert given == {key: (ListenAddress("127.0.0.1", 5000),)}


def test_unknown_home_directory_is_refused():
    with pytest.raises(ValidationError, match="unknown home directory: '~nobody-of-that-name/x'"):
        ServerSettings(secret_file="~nobody-of-that-name/x")


def test_jump_host_needs_a_port():
    with pytest.raises(ValidationError, match="has no port"):
        BridgeSettings(secret="s", jump="home.example.net")


@pytest.mark.parametrize("address", ["0.0.0.0:1080", ":1080", "192.0.2.7:1080", "host.example:1"])
@pytest.mark.parametrize("key", ["socks", "http", "mixed"])
def test_public_bridge_needs_a_password(key, address):
    at, message = problem(BridgeSettings, **{key: [address]})
    assert at == key
    assert "--auth-file" in message
    assert "127.0.0.1" in message
    BridgeSettings(**NEEDED[BridgeSettings], **{key: [address]}, auth="user:password")
    BridgeSettings(**NEEDED[BridgeSettings], **{key: [address]}, auth_file="users")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/x"])
def test_local_bridge_needs_no_password(address):
    assert BridgeSettings(**NEEDED[BridgeSettings], socks=[address]).auth is None


@pytest.mark.parametrize("auth", ["", "user", "user:", ":password"])
def test_auth_has_a_user_and_a_password(auth):
    assert problem(BridgeSettings, auth=auth) == ("auth", "expected user:password")


@pytest.mark.parametrize(
    ("model", "values", "key"),
    [
        (ServerSettings, {"secret_file": "x"}, "secret"),
        (BridgeSettings, {"secret_file": "x"}, "secret"),
        (BridgeSettings, {"auth": "user:password", "auth_file": "x"}, "auth"),
        (BridgeSettings, {"embedded": True}, "embedded"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(model, values, key):
    at, message = problem(model, **values)
    assert at == key
    assert "; remove one of them" in message or "; remove one of the two" in message


@MODELS
@pytest.mark.parametrize("secret", ["", " ", "\n"])
def test_empty_secret_is_refused(model, secret):
    at, message = problem(model, secret=secret)
    assert at == "secret"
    assert "netjumper keygen" in message


@MODELS
def test_missing_secret_message_names_keygen(model):
    with pytest.raises(ValidationError, match="netjumper keygen"):
        model(**{key: value for key, value in NEEDED[model].items() if key != "secret"})


def test_embedded_bridge_needs_neither_secret_nor_jump_host():
    assert BridgeSettings(embedded=True).embedded


@pytest.mark.parametrize(
    ("model", "values", "key"),
    [
        (ServerSettings, {"listen": []}, "listen"),
        (BridgeSettings, {"socks": [], "http": [], "mixed": []}, "socks"),
    ],
)
def test_at_least_one_listener_is_required(model, values, key):
    assert problem(model, **values)[0] == key
