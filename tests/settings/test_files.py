"""Private files: what is read from them, and which files are refused."""

import os
from pathlib import Path

import pytest

from netjumper import fileio
from netjumper.errors import SettingsError
from netjumper.fileio import MAX_FILE_BYTES
from netjumper.settings.files import read_private, read_secret, read_toml, read_users


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
def test_final_newline_is_not_part_of_the_secret(content, secret, private):
    assert read_secret(private("secret", content), "--flag") == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"  \n"])
def test_empty_secret_file_is_refused(content, private):
    path = private("secret", content)
    message = refusal(read_secret, path)
    assert message == f"--flag: {path} is empty; `netjumper keygen` makes a secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o602])
@pytest.mark.parametrize("read", [read_secret, read_users])
def test_file_that_others_can_access_is_refused(read, mode, private):
    path = private("it's", "me:s3cret-of-18-bytes", mode)
    message = refusal(read, path)
    assert message.startswith("--flag: others can read the secret in ")
    assert message.endswith("type: chmod 600 '" + str(path).replace("'", "'\"'\"'") + "'")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_private_file_is_read(mode, private):
    assert read_private(private("file", "text", mode), "--flag") == b"text"


@pytest.fixture
def other_user(monkeypatch):
    """Make this process belong to another user than the files of the test; return its number."""
    monkeypatch.setattr(fileio.os, "geteuid", lambda: 54321)
    return 54321


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("read", [read_secret, read_users])
def test_file_of_another_user_is_refused(read, private):
    path = private("secret", "me:s3cret-of-18-bytes")
    os.chown(path, 12345, -1)
    assert refusal(read, path) == (
        f"--flag: {path} belongs to another user (uid 12345), who can change it; "
        f"type: chown 0 {path}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that all users trust")
def test_file_of_root_is_read_by_another_user(other_user, private):
    path = private("secret", "s3cret-of-18-bytes")
    assert read_secret(path, "--flag") == b"s3cret-of-18-bytes"
    os.chown(path, other_user, -1)
    assert read_secret(path, "--flag") == b"s3cret-of-18-bytes"


def test_byte_order_mark_of_utf8_is_not_part_of_the_content(private):
    assert read_secret(private("secret", b"\xef\xbb\xbfplain\r\n"), "--flag") == b"plain"
    assert read_users(private("users", b"\xef\xbb\xbfme:pass\n"), "--flag") == {"me": "pass"}
    file = read_toml(private("config.toml", b"\xef\xbb\xbf[server]\n"), "--config")
    assert file.content == {"server": {}}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("read", [read_secret, read_users, read_toml])
def test_utf16_is_reported(read, encoding, private):
    path = private("file", "\ufeffme:s3cret\n".encode(encoding))
    assert refusal(read, path) == f"--flag: {path} is in UTF-16; save it as UTF-8"


@pytest.mark.parametrize("name", ["secret", "netjumper/secret"])
def test_secret_of_a_container_engine_may_have_any_mode(name, tmp_path, monkeypatch):
    monkeypatch.setattr(fileio, "SECRET_MOUNTS", (tmp_path,))
    assert read_private(shared_file(tmp_path / name), "--flag") == b"s3cret-of-18-bytes"


def test_secret_linked_by_kubernetes_may_have_any_mode(tmp_path, monkeypatch):
    mounted = tmp_path / "mounted"
    monkeypatch.setattr(fileio, "SECRET_MOUNTS", (mounted,))
    shared_file(mounted / "..data_1/secret")
    (mounted / "secret").symlink_to("..data_1/secret")
    assert read_private(mounted / "secret", "--flag") == b"s3cret-of-18-bytes"


def test_systemd_credential_may_have_any_mode(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    path = shared_file(tmp_path / "credentials/secret")
    monkeypatch.chdir(tmp_path)
    assert read_private(path, "--flag") == b"s3cret-of-18-bytes"
    assert read_private(Path("credentials/secret"), "--flag") == b"s3cret-of-18-bytes"


@pytest.mark.parametrize("path", ["secret", "places/secret", "place/../secret", "place/in/../x"])
def test_shared_file_elsewhere_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.setattr(fileio, "SECRET_MOUNTS", (tmp_path / "place",))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
    (tmp_path / "place").mkdir()
    message = refusal(read_private, shared_file(tmp_path / path))
    assert message.startswith("--flag: others can read the secret in ")


def shared_file(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("s3cret-of-18-bytes")
    path.chmod(0o444)
    return path


def test_missing_file_is_reported(tmp_path):
    path = tmp_path / "missing"
    assert refusal(read_secret, path) == f"--flag: cannot read {path}: No such file or directory"


def test_too_large_file_is_refused(private):
    path = private("huge", b"")
    os.truncate(path, MAX_FILE_BYTES + 1)
    expected = f"--flag: cannot read {path}: it is over {MAX_FILE_BYTES} bytes"
    assert refusal(read_secret, path) == expected


def test_invalid_file_name_is_reported_in_one_line(tmp_path):
    message = refusal(read_secret, tmp_path / "a\nb\0c")
    assert message.endswith("not a valid file name")
    assert "\n" not in message


def test_users_are_read_line_by_line(private):
    path = private("users", "# users\n\nalice:secret:with:colons\r\nbob:#1\n  \n")
    assert read_users(path, "--flag") == {"alice": "secret:with:colons", "bob": "#1"}


@pytest.mark.parametrize(
    "line", ["s3cret-of-18-bytes", ":s3cret-of-18-bytes", "user-s3cret-of-18-bytes:"]
)
def test_invalid_line_is_reported_with_its_number(line, private):
    path = private("users", f"# comment\n{line}\n")
    assert refusal(read_users, path) == f"--flag: {path}, line 2: expected user:password"


def test_user_with_two_passwords_is_refused(private):
    path = private("users", "me:s3cret1\nyou:s3cret2\nme:s3cret3\n")
    assert refusal(read_users, path) == f"--flag: {path}, line 3: user listed twice"


def test_file_without_users_is_refused(private):
    path = private("users", "# no users\n")
    assert refusal(read_users, path) == f"--flag: {path}: expected lines user:password, found none"
