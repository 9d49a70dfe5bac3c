"""How long a secret must be. A recorded handshake lets anybody try all short ones."""

from collections.abc import Iterable

from netjumper.errors import SettingsError
from netjumper.text import counted

MIN_SECRET_BYTES = 8
GOOD_SECRET_BYTES = 16
"""Bytes from which on there is no warning. `netjumper keygen` makes 43."""

Secrets = Iterable[tuple[str, bytes]]
"""Secrets, each with what named it, for messages."""


def refuse_weak_secrets(secrets: Secrets) -> None:
    """Check that no secret is shorter than `MIN_SECRET_BYTES`.

    Raises:
        SettingsError: some are; a line for each.
    """
    lines = [
        f"{where}: a secret of {counted(len(secret), 'byte')} is guessed in no time; "
        "`netjumper keygen` makes one, or allow it with --allow-weak-secret"
        for where, secret in secrets
        if len(secret) < MIN_SECRET_BYTES
    ]
    if lines:
        raise SettingsError(*lines)


def warnings_about(secrets: Secrets) -> list[str]:
    """Return a line for each secret that is short, or that has line ends within."""
    return [f"{where}: {problem}" for where, secret in secrets if (problem := _problem_of(secret))]


def _problem_of(secret: bytes) -> str:
    if len(secret) < GOOD_SECRET_BYTES:
        size = counted(len(secret), "byte")
        return f"the secret has only {size}; `netjumper keygen` makes one that cannot be guessed"
    if lines := secret.count(b"\n"):
        return f"the secret has {lines + 1} lines; the other side needs exactly the same"
    return ""
