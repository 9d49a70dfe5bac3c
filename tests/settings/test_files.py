"""Private files: what is taken from them, and how a file that cannot be used is told about."""

import os
from pathlib import Path

import pytest

from netjumper.errors import SettingsError
from netjumper.fileio import MAX_SIZE
from netjumper.settings import files
from netjumper.settings.files import read_private, read_secret, read_users


def refusal(read, path):
    with pytest.raises(SettingsError) as caught:
        read(path, "--flag")
    (line,) = caught.value.lines
    assert "s3cret" not in line
    return line


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"plain", b"plain"),
        (b"with newline\n", b"with newline"),
        (b"from windows\r\n", b"from windows"),
        (b"two\n\n", b"two\n"),
        (b" spaces \n", b" spaces "),
        (b"not \xff text\n", b"not \xff text"),
    ],
)
def test_one_newline_at_the_end_is_no_part_of_the_secret(content, secret, private):
    assert read_secret(private("secret", content), "--flag") == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"  \n"])
def test_a_secret_file_with_nothing_in_it_is_refused(content, private):
    path = private("secret", content)
    told = refusal(read_secret, path)
    assert told == f"--flag: {path} is empty; `netjumper keygen` makes a secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o602])
@pytest.mark.parametrize("read", [read_secret, read_users])
def test_a_file_that_others_can_use_is_refused(read, mode, private):
    path = private("it's", "me:s3cret", mode)
    told = refusal(read, path)
    assert told.startswith("--flag: others can read the secret in ")
    assert told.endswith("type: chmod 600 '" + str(path).replace("'", "'\"'\"'") + "'")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_ones_own_is_read(mode, private):
    assert read_private(private("file", "text", mode), "--flag") == b"text"


@pytest.mark.parametrize("below", ["secret", "netjumper/secret"])
def test_what_a_container_engine_hands_over_may_have_any_mode(below, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SECRET_MOUNTS", (tmp_path,))
    assert read_private(shared_file(tmp_path / below), "--flag") == b"s3cret"


def test_what_kubernetes_links_to_may_have_any_mode(tmp_path, monkeypatch):
    mounted = tmp_path / "mounted"
    monkeypatch.setattr(files, "SECRET_MOUNTS", (mounted,))
    shared_file(mounted / "..data_1/secret")
    (mounted / "secret").symlink_to("..data_1/secret")
    assert read_private(mounted / "secret", "--flag") == b"s3cret"


def test_a_credential_of_the_service_may_have_any_mode(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    path = shared_file(tmp_path / "credentials/secret")
    monkeypatch.chdir(tmp_path)
    assert read_private(path, "--flag") == b"s3cret"
    assert read_private(Path("credentials/secret"), "--flag") == b"s3cret"


@pytest.mark.parametrize("path", ["secret", "places/secret", "place/../secret", "place/in/../x"])
def test_elsewhere_a_shared_file_stays_refused(path, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SECRET_MOUNTS", (tmp_path / "place",))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
    (tmp_path / "place").mkdir()
    told = refusal(read_private, shared_file(tmp_path / path))
    assert told.startswith("--flag: others can read the secret in ")


def shared_file(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("s3cret")
    path.chmod(0o444)
    return path


def test_a_missing_file_is_told(tmp_path):
    path = tmp_path / "missing"
    assert refusal(read_secret, path) == f"--flag: cannot read {path}: No such file or directory"


def test_a_file_that_never_ends_is_not_read_for_ever(private):
    path = private("huge", b"")
    os.truncate(path, MAX_SIZE + 1)
    assert refusal(read_secret, path) == f"--flag: cannot read {path}: it is over {MAX_SIZE} bytes"


def test_a_name_that_no_file_has_is_told_on_one_line(tmp_path):
    told = refusal(read_secret, tmp_path / "a\nb\0c")
    assert told.endswith("not a valid file name")
    assert "\n" not in told


def test_users_are_read_one_a_line(private):
    path = private("users", "# who may come in\n\nalice:secret:with:colons\r\nbob:#1\n  \n")
    assert read_users(path, "--flag") == {"alice": "secret:with:colons", "bob": "#1"}


@pytest.mark.parametrize("line", ["s3cret", ":s3cret", "user-s3cret:"])
def test_a_line_that_is_no_user_and_password_is_told_by_its_number(line, private):
    path = private("users", f"# comment\n{line}\n")
    assert refusal(read_users, path) == f"--flag: {path}, line 2: expected user:password"


def test_a_user_with_two_passwords_is_refused(private):
    path = private("users", "me:s3cret1\nyou:s3cret2\nme:s3cret3\n")
    assert refusal(read_users, path) == f"--flag: {path}, line 3: user listed twice"


def test_a_file_without_users_is_refused(private):
    path = private("users", "# nobody\n")
    assert refusal(read_users, path) == f"--flag: {path}: expected lines user:password, found none"
