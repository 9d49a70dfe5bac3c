"""Who may use the bridge: user names and passwords."""

import base64
import binascii
import hmac
from collections.abc import Mapping


class Credentials:
    """User names with their passwords, compared in a time that tells nothing.

    Args:
        users: passwords by user name.
    """

    __slots__ = ("_users",)

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {_bytes(user): _bytes(password) for user, password in users.items()}

    def check(self, user: bytes, password: bytes) -> bool:
        """Return whether these are right; every known user is compared, whichever it is."""
        right = False
        for known_user, known_password in self._users.items():
            same_user = hmac.compare_digest(user, known_user)
            same_password = hmac.compare_digest(password, known_password)
            right |= same_user and same_password
        return right


def _bytes(text: str) -> bytes:
    """Bytes that are no UTF-8 come out of the environment as surrogates: back into bytes."""
    return text.encode("utf-8", "surrogateescape")


def parse_basic_auth(field: bytes) -> tuple[bytes, bytes]:
    """Return user and password out of a `Basic` field (RFC 7617), empty when it is none."""
    scheme, _, token = field.partition(b" ")
    if scheme.lower() != b"basic":
        return b"", b""
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except binascii.Error:
        return b"", b""
    return (user, password) if colon else (b"", b"")
