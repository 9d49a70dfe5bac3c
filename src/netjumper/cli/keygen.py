"""`netjumper keygen`: prints a new secret, or makes a certificate that clients pin."""

import datetime as dt
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from netjumper.cli.arguments import Parser
from netjumper.cli.output import print_line
from netjumper.daemon import process
from netjumper.errors import SettingsError
from netjumper.tls.context import pin_of

SECRET_BYTES = 32
VALIDITY_YEARS = 30
"""How long a certificate is valid; a client that pins it does not check that."""
_NEEDS_EXTRA = "--tls needs the package cryptography; install netjumper[tls]"


def build_parser() -> Parser:
    """Return the parser of `netjumper keygen`."""
    parser = Parser(
        "netjumper keygen",
        "Prints a new 256-bit secret. Bridge and jump server need the same one.",
        "examples:\n"
        "  netjumper keygen --out secret\n"
        "      write the secret to a new file that only you can read\n"
        "  netjumper keygen --tls server.pem\n"
        "      write a certificate for --certificate-file, and print its pin for bridges\n",
        "netjumper keygen [--out FILE | --tls FILE]",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the secret to a new file that only its owner can read, and print nothing",
    )
    parser.add_argument(
        "--tls",
        metavar="FILE",
        help="write a certificate and its key to a new file, and print the pin of it",
    )
    return parser


def run(words: Sequence[str]) -> int:
    """Print the secret or the pin, and return 0.

    Raises:
        SettingsError: the command line is wrong, the file cannot be written, or the package that
            makes certificates is not installed.
    """
    arguments, rest = build_parser().parse_known_args(words)
    if rest:  # not repeated: it may be a secret
        raise SettingsError(
            "keygen takes --out FILE, --tls FILE or nothing (see netjumper keygen --help)"
        )
    if hasattr(arguments, "tls"):
        if hasattr(arguments, "out"):
            raise SettingsError("--out: is for a secret; --tls names its own file")
        certificate, pem = make_certificate()
        _write(Path(arguments.tls), pem, "--tls")
        print_line(pin_of(certificate).hex())
        return process.OK
    secret = secrets.token_hex(SECRET_BYTES)  # never begins with a dash
    if hasattr(arguments, "out"):
        _write(Path(arguments.out), f"{secret}\n".encode(), "--out")
    else:
        print_line(secret)
    return process.OK


def make_certificate() -> tuple[bytes, bytes]:
    """Return a self-signed certificate in DER, and in PEM with its key before it.

    Raises:
        SettingsError: the package that makes them is not installed.
    """
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError:
        raise SettingsError(_NEEDS_EXTRA) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "netjumper")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # the clocks of two machines differ
        .not_valid_after(now + dt.timedelta(days=365 * VALIDITY_YEARS))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding
    pem = key.private_bytes(
        encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(encoding.DER), pem + certificate.public_bytes(encoding.PEM)


def _write(path: Path, content: bytes, where: str) -> None:
    """Write a new file that only its owner can read."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SettingsError(
            f"{where}: {path} exists already; give the name of a new file"
        ) from None
    except OSError as error:
        raise SettingsError(f"{where}: {path}: {error.strerror}") from None
    with os.fdopen(fd, "wb") as file:
        file.write(content)
