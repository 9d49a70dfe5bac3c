"""The clients of a jump server: the secrets, expiry, guard and limits of each."""

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from netjumper.errors import AccessExpired
from netjumper.net.connector import TargetFilter
from netjumper.protocol.wire import answer_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client.

    Attributes:
        name: its name in the log; empty for the client of a jump server with a single secret.
        secrets: the client authenticates with any of them. There are several while one is being
            replaced.
        guard: the targets that it can reach.
        expires: when its access ends; None is never.
        max_tunnels: how many tunnels it can have at a time; None is no limit of its own.
        bandwidth: bytes per second of all its tunnels together, both directions counted; None is
            no limit of its own.
    """

    name: str = ""
    secrets: tuple[bytes, ...] = field(repr=False)
    guard: TargetFilter
    expires: datetime | None = None
    max_tunnels: int | None = None
    bandwidth: float | None = None


def single_secret(secret: bytes, guard: TargetFilter) -> "Clients":
    """Return the clients of a jump server with a single secret for all."""
    return Clients([Client(secrets=(secret,), guard=guard)])


class Clients:
    """All clients of a jump server.

    Args:
        clients: the clients, no two with the same name or secret.
    """

    def __init__(self, clients: Iterable[Client]) -> None:
        self._by_name: dict[str, Client] = {}
        self._secrets: list[tuple[bytes, Client]] = []
        self.replace(clients)

    def replace(self, clients: Iterable[Client]) -> None:
        """Replace all clients; established tunnels go on."""
        self._by_name = {client.name: client for client in clients}
        self._secrets = [(it, client) for client in self for it in client.secrets]

    def __iter__(self) -> Iterator[Client]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Client:
        """Return the client of that name.

        Raises:
            KeyError: there is no such client.
        """
        return self._by_name[name]

    def verify(self, challenge: bytes, answer: bytes) -> str | None:
        """Return the name of the client whose secret made the answer, or None.

        Every secret is compared, also after a match, so that the time taken reveals nothing.

        Raises:
            AccessExpired: the answer is right, but the client's access has ended.
        """
        found: Client | None = None
        for secret, client in self._secrets:
            if hmac.compare_digest(answer, answer_to(challenge, secret)):
                found = client
        if found is None:
            return None
        if found.expires is not None and found.expires <= datetime.now(UTC):
            raise AccessExpired(f"access of {found.name or 'this client'} ended {found.expires:%F}")
        return found.name
