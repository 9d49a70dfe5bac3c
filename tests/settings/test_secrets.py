"""Secrets as settings: their forms, their order, and the mode of their files."""

import os

import pytest

from netjumper.settings.loader import load
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import CommandLine
from tests.support.loading import bridge_with, command_line, only_refusal


def test_secret_in_the_environment_may_be_any_bytes(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", os.fsdecode(b"\xff\xfe"))
    assert load(ServerSettings, CommandLine()).secret() == b"\xff\xfe"


def secret_of(arguments=(), config=None):
    model = ServerSettings
    return load(model, command_line(*arguments, config=config, model=model)).secret()


def test_secret_comes_from_the_highest_source_in_either_form(private, monkeypatch):
    file = private("c.toml", "[server]\nsecret = 'from the file'\n")
    flag = private("flag", "from the flag")
    assert secret_of(config=file) == b"from the file"
    monkeypatch.setenv("NETJUMPER_SECRET_FILE", str(private("env", "from the environment\n")))
    assert secret_of(config=file) == b"from the environment"
    assert secret_of(["--secret-file", str(flag)], file) == b"from the flag"


def test_both_forms_of_the_secret_in_one_source_are_refused(private, monkeypatch):
    path = private("c.toml", "[server]\nsecret = 's3cret-of-18-bytes'\nsecret_file = 'x'\n")
    message = only_refusal(config=path, model=ServerSettings)
    assert message == (
        f"{path}:2: [server] secret: cannot be combined with secret_file; remove one of them"
    )
    monkeypatch.setenv("NETJUMPER_SECRET", "s3cret-of-18-bytes")
    monkeypatch.setenv("NETJUMPER_SECRET_FILE", "x")
    assert only_refusal(model=ServerSettings).startswith("environment variable NETJUMPER_SECRET: ")


def test_relative_secret_file_is_beside_the_settings_file(private):
    private("deep/down/secret", "found")
    path = private("deep/down/c.toml", "[server]\nsecret_file = 'secret'\n")
    assert secret_of(config=path) == b"found"


def test_tilde_in_a_secret_file_is_the_home_directory(private, monkeypatch, tmp_path):
    private("me/secret", "found")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    path = private("deep/c.toml", "[server]\nsecret_file = '~/secret'\n")
    assert secret_of(config=path) == b"found"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
@pytest.mark.parametrize(
    "line",
    [
        "[server]\nsecret = 's3cret-of-18-bytes'",
        "[bridge]\nauth = 'me:s3cret-of-18-bytes'",
        "[bridge]\njump = ['192.0.2.1:1', 'netjumper://alice:s3cret@192.0.2.1']",
        "[bridge]\njump = 'netjumper+tls://:s3cret@192.0.2.1'",
    ],
)
def test_settings_file_with_a_secret_must_be_private(line, mode, private):
    path = private("c.toml", f"{line}\n", mode)
    message = only_refusal(config=path, model=ServerSettings)
    assert message == (f"--config: others can read the secret in {path}; type: chmod 600 {path}")


WITHOUT_SECRETS = """
[bridge]
secret_file = 'x'
auth_file = 'y'
jump = ['192.0.2.1:1', 'netjumper+tls://alice@[2001:db8::1]:9527?name=a']
"""


def test_settings_file_without_a_secret_may_be_public(private):
    path = private("c.toml", WITHOUT_SECRETS, 0o644)
    assert bridge_with(config=path).settings.secret_file is not None
