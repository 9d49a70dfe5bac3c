"""The clients of a jump server: which secrets are whose, until when, and what each may do."""

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from netjumper.errors import AccessExpired
from netjumper.net.connector import TargetFilter
from netjumper.protocol.wire import answer_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who may come in.

    Attributes:
        name: what the log calls it; empty is whoever knows the one secret that has no name.
        secrets: each of them lets it in; there are several while one is replaced.
        guard: where it may go.
        expires: from when on it may not come in any more; None is never.
        max_tunnels: how many it may have open at a time; None is as many as any other.
        bandwidth: bytes a second that all its tunnels may move together, both ways counted; None
            is as many as any other.
    """

    name: str = ""
    secrets: tuple[bytes, ...] = field(repr=False)
    guard: TargetFilter
    expires: datetime | None = None
    max_tunnels: int | None = None
    bandwidth: float | None = None


def single_secret(secret: bytes, guard: TargetFilter) -> "Clients":
    """Return the clients of a jump server with one secret for all."""
    return Clients([Client(secrets=(secret,), guard=guard)])


class Clients:
    """All clients of a jump server, as they are now.

    Args:
        clients: no two have a name or a secret in common.
    """

    def __init__(self, clients: Iterable[Client]) -> None:
        self._by_name: dict[str, Client] = {}
        self._secrets: list[tuple[bytes, Client]] = []
        self.replace(clients)

    def replace(self, clients: Iterable[Client]) -> None:
        """Have others from here on; who has come in stays."""
        self._by_name = {client.name: client for client in clients}
        self._secrets = [(it, client) for client in self for it in client.secrets]

    def __iter__(self) -> Iterator[Client]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Client:
        """Return the client of that name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    def verify(self, challenge: bytes, answer: bytes) -> str | None:
        """Return the name of the client whose answer it is; None if it is nobody's.

        It takes as long for each answer: every secret is compared, whichever was right.

        Raises:
            AccessExpired: the answer is right, and comes too late.
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
