"""Reads the settings file, and files that only their owner may read.

Each failure is one line, and none repeats the content of a private file.
"""

import codecs
import os
import shlex
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netjumper.errors import SettingsError
from netjumper.fileio import is_foreign, is_shared, read_file, without_newline
from netjumper.text import quoted


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A TOML file that was read.

    Attributes:
        path: the file.
        text: all of it.
        content: the values in it.
        status: its owner and permissions.
    """

    path: Path
    text: str
    content: dict[str, Any]
    status: os.stat_result


def read_secret(path: Path, where: str) -> bytes:
    """Return the secret in a file, without the one newline that editors add at the end.

    Args:
        path: the file.
        where: what named it, for messages.

    Raises:
        SettingsError: the file cannot be read, others can read it, or it is empty.
    """
    content = read_private(path, where)
    secret = without_newline(content)
    if not secret.strip():
        it = shown_path(path)
        raise SettingsError(f"{where}: {it} is empty; `netjumper keygen` makes a secret")
    return secret


def read_users(path: Path, where: str) -> dict[str, str]:
    """Return the passwords by user from a file with lines `user:password`.

    Empty lines and lines that begin with `#` are ignored.

    Args:
        path: the file.
        where: what named it, for messages.

    Raises:
        SettingsError: the file cannot be read, others can read it, or a line is something else.
    """
    users: dict[str, str] = {}
    place = f"{where}: {shown_path(path)}"
    text = _text(read_private(path, where), path, where)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, password = line.partition(":")
        if not user or not password:
            raise SettingsError(f"{place}, line {number}: expected user:password")
        if user in users:
            raise SettingsError(f"{place}, line {number}: user listed twice")
        users[user] = password
    if not users:
        raise SettingsError(f"{place}: expected lines user:password, found none")
    return users


def read_public(path: Path, where: str) -> bytes:
    """Return the content of a file without a secret.

    Raises:
        SettingsError: the file cannot be read.
    """
    return _read(path, where)[0]


def read_private(path: Path, where: str) -> bytes:
    """Return the content of a file that only its owner can read.

    Raises:
        SettingsError: the file cannot be read, or others can read it.
    """
    content, status = _read(path, where)
    refuse_if_shared(path, status, where)
    return content


def read_toml(path: Path, where: str) -> TomlFile:
    """Read a TOML file.

    Args:
        path: the file.
        where: what named it, for messages.

    Raises:
        FileNotFoundError: there is no such file.
        SettingsError: it cannot be read, or is not valid TOML; the message has the line's number.
    """
    raw, status = _read(path, where, must_exist=False)
    place = f"{where}: {shown_path(path)}"
    text = _text(raw, path, where)
    try:
        return TomlFile(path, text, tomllib.loads(text), status)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{place} is not valid TOML: {error}") from None
    except (RecursionError, ValueError):  # thousands of brackets, or of digits
        reason = "too deeply nested, or a number is too long"
        raise SettingsError(f"{place} is not valid TOML: {reason}") from None


def refuse_shared_key(path: Path | None, where: str) -> None:
    """Check that only the owner can read a file with the private key of a certificate.

    Args:
        path: the file; None checks nothing. Other problems are reported when it is loaded.
        where: what named it, for messages.

    Raises:
        SettingsError: others can read the file, or it is a directory.
    """
    if path is None:
        return
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    if stat.S_ISDIR(status.st_mode):
        raise SettingsError(f"{where}: {shown_path(path)} is a directory; expected a file in PEM")
    refuse_if_shared(path, status, where)


def refuse_if_shared(path: Path, status: os.stat_result, where: str) -> None:
    """Check that only this user can read and change a file with a secret.

    Raises:
        SettingsError: others can read it, or it belongs to another user than this one and root.
    """
    name = shlex.quote(str(path))
    if is_shared(path, status):
        raise SettingsError(
            f"{where}: others can read the secret in {shown_path(path)}; type: chmod 600 {name}"
        )
    if is_foreign(path, status):
        raise SettingsError(
            f"{where}: {shown_path(path)} belongs to another user (uid {status.st_uid}), who can "
            f"change it; type: chown {os.geteuid()} {name}"
        )


def _read(path: Path, where: str, *, must_exist: bool = True) -> tuple[bytes, os.stat_result]:
    """Return the content of a file, without a byte order mark of UTF-8, and its status."""
    try:
        content, status = read_file(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not must_exist:
            raise
        reason = error.strerror or type(error).__name__
    except ValueError:  # a NUL in the name
        reason = "not a valid file name"
    else:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise SettingsError(f"{where}: {shown_path(path)} is in UTF-16; save it as UTF-8")
        return content.removeprefix(codecs.BOM_UTF8), status
    raise SettingsError(f"{where}: cannot read {shown_path(path)}: {reason}")


def _text(content: bytes, path: Path, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{where}: {shown_path(path)}, line {line}: not UTF-8 text") from None


def shown_path(path: Path) -> str:
    """Return a path for messages; one with control characters is quoted."""
    text = str(path)
    return text if text.isprintable() else quoted(text, 200)
