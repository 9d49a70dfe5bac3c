"""The clients of the settings: who knows `secret`, and those of `clients_file`."""

from netjumper.errors import SettingsError
from netjumper.server.clients import Client
from netjumper.server.guard import Guard
from netjumper.settings.clients_file import ClientTable, read_clients
from netjumper.settings.loader import Loaded
from netjumper.settings.server import ServerSettings

BYTES_IN_MEGABIT = 1_000_000 / 8


def clients_of(loaded: Loaded[ServerSettings]) -> list[Client]:
    """Return everybody who may come in.

    Raises:
        SettingsError: a file cannot be used, or two clients have a secret in common.
    """
    settings = loaded.settings
    path = settings.clients_file
    where = loaded.origin("clients_file")
    tables = {} if path is None else read_clients(path, where)
    clients = [_client(name, table, settings) for name, table in tables.items()]
    if secret := loaded.secret():
        for client in clients:
            if secret in client.secrets:
                problem = f"[{client.name}] secrets: one of them is that of all; each has its own"
                raise SettingsError(f"{where}: {path}: {problem}")
        clients.append(_whoever(secret, settings))
    return clients


def _whoever(secret: bytes, settings: ServerSettings) -> Client:
    return Client(
        secrets=(secret,),
        guard=Guard(settings.allow, settings.deny),
        max_tunnels=settings.max_tunnels_per_client or None,
        bandwidth=settings.bandwidth_per_client * BYTES_IN_MEGABIT or None,
    )


def _client(name: str, table: ClientTable, settings: ServerSettings) -> Client:
    allow = table.own("allow", settings.allow)
    return Client(
        name=name,
        secrets=tuple(it.get_secret_value().encode() for it in table.secrets),
        guard=Guard(allow, (*settings.deny, *table.deny)),
        expires=table.expires,
        max_tunnels=table.own("max_tunnels", settings.max_tunnels_per_client) or None,
        bandwidth=table.own("bandwidth", settings.bandwidth_per_client) * BYTES_IN_MEGABIT or None,
    )
