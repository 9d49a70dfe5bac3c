"""The table of listeners agrees with the settings and with the health checks."""

import pytest

from netjumper.addressing.listeners import (
    BRIDGE_LISTENERS,
    LISTENERS,
    SERVER_LISTENERS,
    Greeting,
)
from netjumper.diagnostics.greetings import EXCHANGES
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.server import ServerSettings

COMMANDS = pytest.mark.parametrize(
    ("kinds", "model"), [(SERVER_LISTENERS, ServerSettings), (BRIDGE_LISTENERS, BridgeSettings)]
)


@COMMANDS
def test_every_listener_has_a_setting_for_its_addresses(kinds, model):
    assert {it.key for it in kinds} <= model.model_fields.keys()


@COMMANDS
def test_settings_give_the_addresses_by_the_name_of_the_listener(kinds, model):
    values = {it.key: [f"127.0.0.1:{port}"] for port, it in enumerate(kinds, 1)}
    settings = model(secret="s", **({"jump": "h:1"} if model is BridgeSettings else {}), **values)
    ports = {name: [it.port for it in addresses] for name, addresses in settings.listeners.items()}
    assert ports == {it.name: [port] for port, it in enumerate(kinds, 1)}


def test_no_two_listeners_have_a_name_or_a_label_in_common():
    assert len(LISTENERS) == len(SERVER_LISTENERS) + len(BRIDGE_LISTENERS)
    assert len({it.label for it in LISTENERS.values()}) == len(LISTENERS)


def test_every_greeting_is_used_and_can_be_sent():
    used = {greeting for it in LISTENERS.values() for greeting in it.greetings}
    assert used == set(Greeting) == EXCHANGES.keys()
