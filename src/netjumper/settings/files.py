"""Files from outside: the settings file, and files that nobody else may read.

Each failure is one line, and none repeats what stands in a private file.
"""

import os
import shlex
import stat
import tomllib
from pathlib import Path
from typing import Any

from netjumper.errors import SettingsError
from netjumper.fileio import read_file
from netjumper.text import quoted

HANDED_OVER = (Path("/run/secrets"), Path("/var/run/secrets"))
"""Where container engines put a container's secrets; the second is a link to the first."""


def read_secret(path: Path, where: str) -> bytes:
    """Return the secret in a file, without the one newline that editors put at its end.

    Args:
        path: the file.
        where: what named it, for the message.

    Raises:
        SettingsError: it cannot be read, others can read it, or there is nothing in it.
    """
    content = read_private(path, where)
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if not secret.strip():
        raise SettingsError(f"{where}: {_shown(path)} is empty; `netjumper keygen` makes a secret")
    return secret


def read_users(path: Path, where: str) -> dict[str, str]:
    """Return the passwords by user that stand in a file as `user:password` lines.

    Empty lines and lines that begin with `#` are passed over.

    Raises:
        SettingsError: it cannot be read, others can read it, or a line is something else.
    """
    users: dict[str, str] = {}
    text = _text(read_private(path, where), path, where)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, password = line.partition(":")
        if not user or not password:
            raise SettingsError(f"{where}: {_shown(path)}, line {number}: expected user:password")
        if user in users:
            raise SettingsError(f"{where}: {_shown(path)}, line {number}: user listed twice")
        users[user] = password
    if not users:
        raise SettingsError(f"{where}: {_shown(path)}: expected lines user:password, found none")
    return users


def read_public(path: Path, where: str) -> bytes:
    """Return what is in a file that anybody may read.

    Raises:
        SettingsError: it cannot be read.
    """
    return _read(path, where)[0]


def read_private(path: Path, where: str) -> bytes:
    """Return what is in a file that only its owner can read.

    Raises:
        SettingsError: it cannot be read, or others can read it.
    """
    content, mode = _read(path, where)
    refuse_if_shared(path, mode, where)
    return content


def read_toml(path: Path, where: str) -> tuple[dict[str, Any], int]:
    """Return what a TOML file says, and the file's mode.

    Raises:
        FileNotFoundError: there is no such file.
        SettingsError: it cannot be read, or it is no TOML; the message has the line's number.
    """
    content, mode = _read(path, where, must_exist=False)
    text = _text(content, path, where)
    try:
        return tomllib.loads(text), mode
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where}: {_shown(path)} is not valid TOML: {error}") from None
    except (RecursionError, ValueError):  # nested, or digits, by the thousand
        raise SettingsError(f"{where}: {_shown(path)} is not valid TOML for a person") from None


def refuse_shared_key(path: Path | None, where: str) -> None:
    """Check that only the owner can read a certificate's file, as its key stands in it too.

    Args:
        path: the file; None is none. What else is wrong with it is told by who loads it.
        where: what named it, for the message.

    Raises:
        SettingsError: others can, or it is a directory.
    """
    if path is None:
        return
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISDIR(mode):
        raise SettingsError(f"{where}: {_shown(path)} is a directory; expected a file in PEM")
    refuse_if_shared(path, stat.S_IMODE(mode), where)


def refuse_if_shared(path: Path, mode: int, where: str) -> None:
    """Check that only the owner can read a file with a secret in it.

    Raises:
        SettingsError: others can.
    """
    if os.name == "posix" and mode & 0o077 and not _is_handed_over(path):
        raise SettingsError(
            f"{where}: others can read the secret in {_shown(path)}; "
            f"type: chmod 600 {shlex.quote(str(path))}"
        )


def _is_handed_over(path: Path) -> bool:
    """Whether the file is in a place that only this container, or this service, can see.

    Container engines mount secrets readable by all below `/run/secrets`; systemd makes a directory
    of its own for a service's credentials (systemd.exec(5), "CREDENTIALS") and tells its name.
    """
    places = [*HANDED_OVER]
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        places.append(Path(credentials))
    # The place where it is mounted counts, not what a link there leads to: Kubernetes makes links.
    # Behind a link `..` would lead out of it, and only the system knows where to.
    directory = path.absolute().parent
    return ".." not in path.parts and any(directory.is_relative_to(place) for place in places)


def _read(path: Path, where: str, *, must_exist: bool = True) -> tuple[bytes, int]:
    try:
        content, mode = read_file(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not must_exist:
            raise
        reason = error.strerror or type(error).__name__
    except ValueError:  # a NUL in the name
        reason = "that cannot be a file's name"
    else:
        return content, stat.S_IMODE(mode)
    raise SettingsError(f"{where}: cannot read {_shown(path)}: {reason}")


def _text(content: bytes, path: Path, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{where}: {_shown(path)}, line {line}: not UTF-8 text") from None


def _shown(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() else quoted(text, 200)
