"""Files with certificates: this side's own, or an authority's."""

import errno
import shlex
import ssl
from pathlib import Path
from typing import NoReturn

from netjumper.errors import NetjumperError
from netjumper.fileio import read_file
from netjumper.tls.errors import is_not_its_key


class EncryptionError(NetjumperError, ValueError):
    """The requested TLS is not possible."""


class CertificateError(EncryptionError):
    """The file with this side's own certificate cannot be used."""


class AuthorityError(EncryptionError):
    """The file with an authority's certificate cannot be used."""


def load_authority(context: ssl.SSLContext, authority: Path) -> None:
    """Trust the certificates that an authority issued.

    Args:
        context: is changed.
        authority: a PEM file with the authority's certificate, or a pipe.

    Raises:
        AuthorityError: it cannot be used.
    """
    try:
        if authority.is_file():
            context.load_verify_locations(authority)
        else:  # a pipe: OpenSSL would wait for it without a limit
            text = read_file(authority)[0].decode("ascii", "ignore")
            context.load_verify_locations(cadata=text)
    except (OSError, ValueError) as error:
        why = _reason(error, "expected a certificate in PEM")
        raise AuthorityError(f"{authority}: {why}") from None


def load_certificate(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None = None
) -> None:
    """Show a certificate to peers.

    Args:
        context: is changed.
        certificate: a PEM file with the certificate; None is none.
        key: a PEM file with its key; None is the same file.

    Raises:
        CertificateError: it cannot be used.
    """
    if certificate is None:
        return
    key = key or certificate
    files = f"{certificate}" if key == certificate else f"{certificate} with {key}"
    why = ""

    def encrypted() -> NoReturn:  # without it OpenSSL asks at the terminal
        nonlocal why
        why = (
            "the key is encrypted, and there is no way to enter the password; "
            f"`openssl pkey -in {shlex.quote(str(key))}` prints the key unencrypted"
        )
        raise OSError

    try:
        if certificate.is_fifo() or key.is_fifo():  # OpenSSL would wait for ever
            raise OSError(errno.ESPIPE, "a pipe cannot be read twice; expected a file")
        context.load_cert_chain(certificate, key, password=encrypted)
    except (OSError, ValueError) as error:
        expected = "expected a certificate in PEM, followed by its key"
        if key != certificate:
            expected = "expected a certificate and its key, both in PEM"
        raise CertificateError(f"{files}: {why or _reason(error, expected)}") from None


def _reason(error: OSError | ValueError, expected: str) -> str:
    if is_not_its_key(error):
        return "the certificate and the key do not belong together"
    if isinstance(error, ssl.SSLError | ValueError):
        return expected
    return error.strerror or str(error)
