"""Short secrets: refused under 8 bytes, warned about under 16."""

import pytest

from tests.support.commands import run

TOO_SHORT = (
    "a secret of {} is guessed in no time; `netjumper keygen` makes one, or allow it "
    "with --allow-weak-secret"
)
SHORT = "the secret has only {}; `netjumper keygen` makes one that cannot be guessed"
NAMES = ("netjumper", "netjumper-bridge")


def arguments(name: str) -> list[str]:
    return ["--check"] if name == "netjumper" else ["--jump", "home.example.net:1", "--check"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("secret", "size"), [("x", "1 byte"), ("1234567", "7 bytes")])
def test_secret_of_less_than_8_bytes_is_refused(name, secret, size, private):
    path = private("secret", f"{secret}\n")
    code, out, lines = run(name, *arguments(name), "--secret-file", str(path))
    assert (code, out) == (2, "")
    assert lines == [f"{name}: --secret-file: {TOO_SHORT.format(size)}"]


def test_secret_of_zero_bytes_only_is_refused(private):
    path = private("secret", "\0\0")
    assert run("netjumper", "--secret-file", str(path), "--check")[0] == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("secret", ["12345678", "superBigSecret", "123456789012345"])
def test_secret_of_less_than_16_bytes_causes_a_warning(name, secret):
    env = {"NETJUMPER_SECRET": secret}
    code, _, (line,) = run(name, *arguments(name), env=env)
    assert code == 0
    origin = "environment variable NETJUMPER_SECRET"
    assert line.endswith(f"WARNING {origin}: {SHORT.format(f'{len(secret)} bytes')}")


@pytest.mark.parametrize("name", NAMES)
def test_allowed_weak_secret_causes_a_warning(name):
    env = {"NETJUMPER_SECRET": "x"}
    code, _, (line,) = run(name, *arguments(name), "--allow-weak-secret", env=env)
    assert code == 0
    assert line.endswith(SHORT.format("1 byte"))


@pytest.mark.parametrize("name", NAMES)
def test_secret_of_16_bytes_causes_no_warning(name):
    env = {"NETJUMPER_SECRET": "1234567890123456"}
    assert run(name, *arguments(name), env=env)[2] == []


def test_secret_of_two_lines_causes_a_warning(private):
    path = private("secret", "a-secret-of-26-characters\nanother-one-of-26-characters\n")
    code, _, (line,) = run("netjumper", "--secret-file", str(path), "--check")
    assert code == 0
    assert line.endswith("the secret has 2 lines; the other side needs exactly the same")


def test_each_weak_secret_of_a_client_is_named(private):
    text = '[alice]\nsecrets = ["1234567890123456", "a"]\n[bob]\nsecrets = ["123456789"]\n'
    path = private("clients.toml", text)
    code, _, lines = run("netjumper", "--clients-file", str(path), "--check")
    where = f"--clients-file: {path}"
    assert code == 2
    assert lines == [f"netjumper: {where}: [alice] secrets: {TOO_SHORT.format('1 byte')}"]
    code, _, lines = run("netjumper", "--clients-file", str(path), "--check", "--allow-weak-secret")
    assert code == 0
    assert [line.partition("WARNING ")[2] for line in lines] == [
        f"{where}: [alice] secrets: {SHORT.format('1 byte')}",
        f"{where}: [bob] secrets: {SHORT.format('9 bytes')}",
    ]


def test_weak_secret_in_a_jump_url_is_refused_and_not_shown():
    env = {"NETJUMPER_JUMP": "netjumper://alice:hush@home.example.net:1"}
    code, _, lines = run("netjumper-bridge", "--check", env=env)
    assert code == 2
    where = "environment variable NETJUMPER_JUMP: home.example.net:1"
    assert lines == [f"netjumper-bridge: {where}: {TOO_SHORT.format('4 bytes')}"]
