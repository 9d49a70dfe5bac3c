"""The user names and passwords of the bridge's clients."""

import base64
import binascii
import hmac
from collections.abc import Mapping


class Credentials:
    """User names with their passwords, compared in constant time.

    Args:
        users: passwords by user name.
    """

    __slots__ = ("_users",)

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {_encode(user): _encode(password) for user, password in users.items()}

    def check(self, user: bytes, password: bytes) -> bool:
        """Return whether user and password match.

        All known users are compared, so that the time taken does not reveal which exist.
        """
        matches = False
        for known_user, known_password in self._users.items():
            same_user = hmac.compare_digest(user, known_user)
            same_password = hmac.compare_digest(password, known_password)
            matches |= same_user and same_password
        return matches


def parse_basic_auth(field: bytes) -> tuple[bytes, bytes]:
    """Return user and password of a `Basic` field (RFC 7617), both empty if it is not one."""
    scheme, _, token = field.partition(b" ")
    if scheme.lower() != b"basic":
        return b"", b""
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except binascii.Error:
        return b"", b""
    return (user, password) if colon else (b"", b"")


def _encode(text: str) -> bytes:
    """Invalid UTF-8 comes out of the environment as surrogates; turn these back into bytes."""
    return text.encode("utf-8", "surrogateescape")
