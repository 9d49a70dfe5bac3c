"""Builds the clients of a jump server: the one that `secret` stands for, and `clients_file`."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Network

from netjumper.addressing.target_rules import Rule
from netjumper.errors import SettingsError
from netjumper.net.own_networks import OwnNetworks
from netjumper.server.clients import Client
from netjumper.server.guard import Guard
from netjumper.settings.clients_file import ClientTable, read_clients
from netjumper.settings.loaded import Loaded
from netjumper.settings.server import ServerSettings

OWN_NETWORKS = OwnNetworks()
BYTES_IN_MEGABIT = 1_000_000 / 8
"""Settings give bandwidths in megabits per second, the server wants bytes per second."""


def clients_of(loaded: Loaded[ServerSettings]) -> list[Client]:
    """Return all clients; the one that the shared secret stands for has no name.

    Raises:
        SettingsError: a file cannot be used, or two clients have the same secret.
    """
    settings = loaded.settings
    path = settings.clients_file
    where = loaded.origin("clients_file")
    tables = {} if path is None else read_clients(path, where)
    clients = [_client(name, table, settings) for name, table in tables.items()]
    if secret := loaded.secret():
        for client in clients:
            if secret in client.secrets:
                problem = (
                    f"[{client.name}] secrets: one is the shared secret; each client needs its own"
                )
                raise SettingsError(f"{where}: {path}: {problem}")
        clients.append(_nameless_client(secret, settings))
    return clients


def secrets_of(
    loaded: Loaded[ServerSettings], clients: Iterable[Client]
) -> Iterator[tuple[str, bytes]]:
    """Yield the secrets of all clients, each with what named it."""
    file = f"{loaded.origin('clients_file')}: {loaded.settings.clients_file}"
    for client in clients:
        where = f"{file}: [{client.name}] secrets" if client.name else loaded.secret_origin
        for secret in client.secrets:
            yield where, secret


def guard_of(
    allow: Iterable[Rule], deny: Iterable[Rule] = (), nat64: Iterable[IPv6Network] = ()
) -> Guard:
    """Return a guard that knows the networks of this machine."""
    return Guard(allow, deny, nat64=nat64, own_networks=OWN_NETWORKS)


def _nameless_client(secret: bytes, settings: ServerSettings) -> Client:
    return Client(
        secrets=(secret,),
        guard=guard_of(settings.allow, settings.deny, settings.nat64_prefix),
        max_tunnels=settings.max_tunnels_per_client or None,
        bandwidth=settings.bandwidth_per_client * BYTES_IN_MEGABIT or None,
    )


def _client(name: str, table: ClientTable, settings: ServerSettings) -> Client:
    allow = table.own("allow", settings.allow)
    return Client(
        name=name,
        secrets=tuple(it.get_secret_value().encode() for it in table.secrets),
        guard=guard_of(allow, (*settings.deny, *table.deny), settings.nat64_prefix),
        expires=table.expires,
        max_tunnels=table.own("max_tunnels", settings.max_tunnels_per_client) or None,
        bandwidth=table.own("bandwidth", settings.bandwidth_per_client) * BYTES_IN_MEGABIT or None,
    )
