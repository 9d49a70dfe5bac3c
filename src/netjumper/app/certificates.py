"""The pin of a certificate file, as a bridge needs it in its jump host's URL."""

import ssl
from pathlib import Path

from netjumper.errors import SettingsError
from netjumper.settings.files import read_public
from netjumper.text import quoted
from netjumper.tls.context import pin_of

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def certificate_pin(path: Path, where: str) -> bytes:
    """Return the SHA-256 of the first certificate in a PEM file.

    Args:
        path: the file.
        where: what named it, for messages.

    Raises:
        SettingsError: the file cannot be read, or has no certificate.
    """
    text = read_public(path, where).decode("ascii", "replace")
    try:
        return pin_of(ssl.PEM_cert_to_DER_cert(text[text.index(_BEGIN) : text.index(_END)] + _END))
    except ValueError:
        reason = "it has no certificate in PEM"
        raise SettingsError(f"{where}: {quoted(str(path), 200)}: {reason}") from None
