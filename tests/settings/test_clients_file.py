"""The clients file: what is read from it, and how mistakes in it are reported."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from netjumper.addressing.address import Address
from netjumper.app.clients import clients_of
from netjumper.errors import SettingsError, TargetDenied
from netjumper.settings.clients_file import read_clients
from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine

GOOD = 'secrets = ["s3cret-1"]'
ALICE = f"[alice]\n{GOOD}\n"


@pytest.fixture
def refusal(private):
    """Return what gives the one line that a file is refused with."""

    def refuse(text):
        path = private("clients.toml", text)
        with pytest.raises(SettingsError) as caught:
            read_clients(path, "--clients-file")
        (line,) = caught.value.lines
        assert "s3cret" not in line
        return line.removeprefix(f"--clients-file: {path}: ")

    return refuse


@pytest.fixture
def clients(private):
    """Return what gives the clients of a file by name, with more settings."""

    def give(text, **settings):
        flags = CommandLine()
        flags.give("clients_file", str(private("clients.toml", text)), "--clients-file")
        for key, value in settings.items():
            flags.give(key, value, f"--{key}")
        return {it.name: it for it in clients_of(load(ServerSettings, flags))}

    return give


def denied(client, target, ip="203.0.113.1"):
    try:
        address = Address.parse(target)
        client.guard.check_target(address)
        client.guard.check_address(address, ip)
    except TargetDenied:
        return True
    return False


def test_client_needs_only_secrets(clients):
    (alice,) = clients(ALICE).values()
    assert (alice.name, alice.secrets) == ("alice", (b"s3cret-1",))
    assert (alice.expires, alice.max_tunnels, alice.bandwidth) == (None, 5000, None)


def test_client_without_limits_gets_the_common_ones(clients):
    (alice,) = clients(ALICE, max_tunnels_per_client="7", bandwidth_per_client="8").values()
    assert (alice.max_tunnels, alice.bandwidth) == (7, 1_000_000)
    text = ALICE + "max_tunnels = 0\nbandwidth = 1.6\n"
    (alice,) = clients(text, max_tunnels_per_client="7", bandwidth_per_client="8").values()
    assert (alice.max_tunnels, alice.bandwidth) == (None, 200_000)


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        ("2027-01-31", datetime(2027, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("9999-12-31", datetime.max.replace(tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        (
            "2027-01-31T18:00:00+08:00",
            datetime(2027, 1, 31, 18, tzinfo=timezone(timedelta(hours=8))),
        ),
    ],
)
def test_date_includes_its_whole_day(clients, text, expires):
    assert clients(f"{ALICE}expires = {text}\n")["alice"].expires == expires


def test_common_deny_rules_apply_and_own_allow_rules_replace(clients):
    text = (
        ALICE + '[bob]\nsecrets = ["s3cret-2"]\nallow = ["10.1.0.0/16"]\ndeny = [".bad.example"]\n'
    )
    found = clients(text, allow="192.168.0.0/16", deny="evil.example")
    alice, bob = found["alice"], found["bob"]
    assert denied(alice, "evil.example:443")
    assert denied(bob, "evil.example:443")
    assert not denied(alice, "a.bad.example:443")
    assert denied(bob, "a.bad.example:443")
    assert not denied(alice, "192.168.0.1:80", "192.168.0.1")
    assert denied(bob, "192.168.0.1:80", "192.168.0.1")
    assert not denied(bob, "10.1.0.1:80", "10.1.0.1")


def test_shared_secret_is_accepted_beside_the_clients(clients):
    found = clients(ALICE, secret="s3cret-0", allow="192.168.0.0/16")
    assert found[""].secrets == (b"s3cret-0",)
    assert not denied(found[""], "192.168.0.1:80", "192.168.0.1")


def test_without_a_shared_secret_only_clients_are_accepted(clients):
    assert set(clients(ALICE)) == {"alice"}


DATE = "expected a date, such as 2027-01-31, or a time, such as 2027-01-31T18:00:00Z"
TEXTS = "secrets: expected a list of non-empty texts (`netjumper keygen` makes one)"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], TEXTS),
        (["secrets = []"], TEXTS),
        (['secrets = "s3cret-of-18-bytes"'], TEXTS),
        (['secrets = ["s3cret-of-18-bytes", " "]'], TEXTS),
        (['secrets = ["s3cret-of-18-bytes", 1]'], TEXTS),
        ([GOOD, 'secret = "s3cret-of-18-bytes"'], "'secret': unknown key; did you mean secrets?"),
        ([GOOD, 'expires = "2027"'], f"expires: {DATE}, not '2027'"),
        (
            [GOOD, "expires = 2027-01-31T18:00:00"],
            f"expires: the offset from UTC is missing; {DATE}",
        ),
        ([GOOD, "max_tunnels = -1"], "max_tunnels: expected a whole number, 0 or more, not -1"),
        ([GOOD, "bandwidth = true"], "bandwidth: expected a number of megabits per second"),
        ([GOOD, 'allow = ["10.0.0.0/33"]'], "allow: "),
        (
            [GOOD, "[bob]", 'secrets = ["s3cret-2", "s3cret-1"]'],
            "secrets: one is also a secret of alice; each client needs its own",
        ),
    ],
)
def test_mistake_is_reported_in_one_line_with_what_is_valid(refusal, lines, message):
    line = refusal("\n".join(["[alice]", *lines]))
    assert line.startswith((f"[alice] {message}", f"[bob] {message}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table for each client, found none"),
        (
            'alice = "s3cret-of-18-bytes"',
            "alice: is in no table; a client is a table, such as [alice]",
        ),
        ('["a b"]', "'a b': a client's name is of letters, digits, '.', '-' and '_', at most 64"),
    ],
)
def test_invalid_table_is_reported_in_one_line(refusal, text, message):
    assert refusal(text) == message


def test_all_mistakes_are_reported_together(private):
    path = private("clients.toml", "[alice]\n[bob]\nsecrets = 1\nexpires = 1\n")
    with pytest.raises(SettingsError) as caught:
        read_clients(path, "--clients-file")
    keys = [re.search(r"toml: (\[\w+\] \w+):", line)[1] for line in caught.value.lines]
    assert keys == ["[alice] secrets", "[bob] secrets", "[bob] expires"]


def test_shared_secret_must_differ_from_client_secrets(clients):
    with pytest.raises(
        SettingsError, match="one is the shared secret; each client needs its own"
    ) as it:
        clients(ALICE, secret="s3cret-1")
    assert "s3cret" not in str(it.value)


def test_file_that_others_can_read_is_refused(private):
    path = private("clients.toml", ALICE, 0o644)
    with pytest.raises(SettingsError, match="others can read the secret in"):
        read_clients(path, "--clients-file")


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(SettingsError) as caught:
        read_clients(tmp_path / "none.toml", "--clients-file")
    assert caught.value.lines == (f"--clients-file: no such file: {tmp_path / 'none.toml'}",)
