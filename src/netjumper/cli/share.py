"""`netjumper share`: prints the URL of the jump server for the settings of a bridge."""

import io
from collections.abc import Sequence
from dataclasses import replace

from netjumper.addressing.jump_url import DEFAULT_PORT, JumpUrl, address_with_port
from netjumper.app.certificates import certificate_pin
from netjumper.cli.arguments import SETTINGS_HELP, Parser, add_config, add_settings, command_line_of
from netjumper.cli.output import can_print, print_line
from netjumper.daemon import process
from netjumper.errors import AddressError, SettingsError
from netjumper.settings.clients_file import read_clients
from netjumper.settings.loaded import Loaded
from netjumper.settings.loader import load
from netjumper.settings.server import RunningServer, ServerSettings
from netjumper.text import quoted

_EXAMPLES = """\
examples:
  netjumper share home.example.net --listen-tls :9527
      netjumper+tls://home.example.net:9527
  netjumper share home.example.net:22 --config c.toml --with-secret --qr
      the port that a router forwards, the secret too, also as a QR code
  netjumper share home.example.net --config c.toml --client alice

"""
_HALF_BLOCKS = "\u2580\u2584\u2588"


def build_parser() -> Parser:
    """Return the parser of `netjumper share`."""
    parser = Parser(
        "netjumper share",
        "Prints the value for --jump of a bridge that uses the jump server of these settings.",
        _EXAMPLES + SETTINGS_HELP.format(table=ServerSettings.table),
        "netjumper share [options] HOST[:PORT]",
    )
    parser.add_argument(
        "host",
        metavar="HOST",
        help="the name or address under which bridges reach it; the port defaults to the settings",
    )
    parser.add_argument("--client", metavar="NAME", help="for this client of clients_file")
    parser.add_argument(
        "--with-secret",
        action="store_true",
        help="include the secret; anyone who sees the output can use the jump server",
    )
    parser.add_argument("--qr", action="store_true", help="also print it as a QR code")
    add_settings(parser, ServerSettings)
    add_config(parser)
    return parser


def run(words: Sequence[str]) -> int:
    """Print the line and return 0.

    Raises:
        SettingsError: the command line or a setting is wrong.
    """
    arguments = build_parser().parse_args(words)
    model = ServerSettings if hasattr(arguments, "with_secret") else RunningServer
    loaded = load(model, command_line_of(arguments, ServerSettings))
    name = getattr(arguments, "client", "")
    secret = _secret_of(name, loaded)
    url = replace(_url(arguments.host, loaded), client=name)
    line = url.written(secret if hasattr(arguments, "with_secret") else "")
    print_line(line)
    if hasattr(arguments, "qr"):
        _draw(line)
    return process.OK


def _secret_of(name: str, loaded: Loaded[ServerSettings]) -> str:
    """Return the last secret of a client: of two, that is the new one."""
    path = loaded.settings.clients_file
    if not name:
        if path is not None and not loaded.secret():
            raise SettingsError("--client: expected the name of a client")
        return loaded.secret().decode("utf-8", "surrogateescape")
    clients = {} if path is None else read_clients(path, loaded.origin("clients_file"))
    if name not in clients:
        known = f"; known are {', '.join(clients)}" if clients else ": no clients_file is given"
        raise SettingsError(f"--client: unknown client {quoted(name)}{known}")
    return clients[name].secrets[-1].get_secret_value()


def _url(host: str, loaded: Loaded[ServerSettings]) -> JumpUrl:
    settings = loaded.settings
    places = [it for it in settings.listen_tls or settings.listen if it.port]
    try:
        address = address_with_port(host, places[0].port if places else DEFAULT_PORT)
    except AddressError as error:
        raise SettingsError(f"HOST: {error}") from None
    certificate = settings.certificate_file
    where = loaded.origin("certificate_file")
    pins = () if certificate is None else (certificate_pin(certificate, where),)
    return JumpUrl(address, tls=bool(settings.listen_tls), pins=pins)


def _draw(line: str) -> None:
    import segno  # noqa: PLC0415 - slow to import

    drawn = io.StringIO()
    # Without half blocks it consists of spaces in inverse colours: larger, but all ASCII.
    segno.make(line, micro=False).terminal(out=drawn, compact=can_print(_HALF_BLOCKS))
    print_line(drawn.getvalue().removesuffix("\n"))
