"""The congestion control of the long path: what `auto` stands for, and its description."""

import socket
import sys

import pytest

from netjumper.net import congestion_control
from netjumper.net.congestion_control import HOW_TO_ENABLE, chosen, description, is_usable, used_by

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux' names")


@pytest.fixture
def usable(monkeypatch):
    """Return a function that sets which congestion controls this process can use."""

    def use(*names: str) -> None:
        congestion_control._preferred.cache_clear()
        monkeypatch.setattr(congestion_control, "is_usable", lambda name: name in names)

    yield use
    congestion_control._preferred.cache_clear()


def set_system(monkeypatch, name):
    monkeypatch.setattr(congestion_control, "used_by", lambda _: name)


def test_auto_is_bbr_if_it_is_usable(usable):
    usable("reno", "bbr")
    assert chosen("auto") == "bbr"


def test_auto_is_the_systems_without_bbr(usable):
    usable("reno", "cubic")
    assert chosen("auto") == ""


@pytest.mark.parametrize("setting", ["", "cubic", "no-such-name"])
def test_other_setting_is_taken_as_it_is(setting):
    assert chosen(setting) == setting


def test_kernel_decides_what_is_usable():
    assert is_usable("reno")
    assert not is_usable("no-such-name")
    assert not is_usable("\udcff")


def test_name_in_use_is_that_of_the_socket():
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        assert used_by(sock) == "reno"
    with socket.socket(socket.AF_UNIX) as sock:
        assert used_by(sock) == ""


def test_description_names_the_chosen_one():
    assert description("bbr") == "congestion control on the long path: bbr"


def test_description_of_the_systems_says_how_to_get_bbr(usable, monkeypatch):
    usable("cubic")
    set_system(monkeypatch, "cubic")
    assert description("") == (
        "congestion control on the long path: cubic, the system's; bbr would be faster if packets "
        f"are lost ({HOW_TO_ENABLE})"
    )


def test_description_gives_no_advice_where_bbr_is_usable(usable, monkeypatch):
    usable("cubic", "bbr")
    set_system(monkeypatch, "cubic")
    assert description("") == "congestion control on the long path: cubic, the system's"


def test_system_without_the_option_has_no_description(monkeypatch):
    monkeypatch.setattr(congestion_control, "_OPTION", None)
    assert not is_usable("bbr")
    assert description("") == ""
