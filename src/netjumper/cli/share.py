"""`netjumper share`: the jump server in one line, for the bridge's settings."""

import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from netjumper.address import quoted
from netjumper.cli import process
from netjumper.cli.options import PLACES, Flags, Parser, layer_of
from netjumper.cli.server_healthcheck import RunningServer
from netjumper.cli.sources import Loaded, load
from netjumper.encryption import pin_of
from netjumper.errors import AddressError
from netjumper.jump_url import DEFAULT_PORT, JumpUrl, address_with_port
from netjumper.settings import ServerSettings, SettingsError

_EXAMPLES = """\
examples:
  netjumper share home.example.net --listen-tls :9527
      netjumper+tls://home.example.net:9527
  netjumper share home.example.net:22 --config c.toml --with-secret --qr
      another port, as the router forwards it; all that a bridge needs, as a picture

"""
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def build_parser() -> Parser:
    """Return the parser of `netjumper share`."""
    parser = Parser(
        "netjumper share",
        "Prints what a bridge's --jump needs to be given for the jump server of these settings.",
        _EXAMPLES + PLACES.format(table=ServerSettings.table),
        "netjumper share [options] HOST[:PORT]",
    )
    parser.add_argument(
        "host",
        metavar="HOST",
        help="the name or address that it has for others; the port is that of the settings",
    )
    parser.add_argument(
        "--with-secret", action="store_true", help="put the secret into it: for nobody else's eyes"
    )
    parser.add_argument("--qr", action="store_true", help="print it as a QR code, too")
    flags = Flags(parser, ServerSettings)
    flags.group("the jump server", "listen", "listen_tls", "secret_file")
    flags.tls()
    flags.config()
    return parser


def run(words: Sequence[str]) -> int:
    """Print the line and return 0.

    Raises:
        SettingsError: the command line or a setting is wrong.
    """
    arguments = build_parser().parse_args(words)
    flags, config = layer_of(arguments, ServerSettings), getattr(arguments, "config", None)
    model = ServerSettings if hasattr(arguments, "with_secret") else RunningServer
    loaded = load(model, flags, config)
    secret = loaded.secret().decode() if hasattr(arguments, "with_secret") else ""
    line = _url(arguments.host, loaded).written(secret)
    process.say(line)
    if hasattr(arguments, "qr"):
        _draw(line)
    return process.OK


def _url(host: str, loaded: Loaded[ServerSettings]) -> JumpUrl:
    settings = loaded.settings
    places = [it for it in settings.listen_tls or settings.listen if it.port]
    try:
        address = address_with_port(host, places[0].port if places else DEFAULT_PORT)
    except AddressError as error:
        raise SettingsError(f"HOST: {error}") from None
    certificate = settings.certificate_file
    pins = () if certificate is None else (_pin(certificate, loaded),)
    return JumpUrl(address, tls=bool(settings.listen_tls), pins=pins)


def _pin(path: Path, loaded: Loaded[ServerSettings]) -> bytes:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
        return pin_of(ssl.PEM_cert_to_DER_cert(text[text.index(_BEGIN) : text.index(_END)] + _END))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "there is no certificate in PEM in it"
        where = loaded.origin("certificate_file")
        raise SettingsError(f"{where}: {quoted(str(path), 200)}: {reason}") from None


def _draw(line: str) -> None:
    try:
        import segno  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("--qr: it is drawn with segno; install netjumper[qr]") from None
    segno.make(line, micro=False).terminal(out=sys.stdout, compact=True)
