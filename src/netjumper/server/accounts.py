"""The account of each client of a jump server: a dialer with the client's guard, and its limits."""

from collections.abc import Callable

from netjumper.net.connector import Connector, TargetFilter
from netjumper.server.clients import Client, Clients
from netjumper.sessions.admission import Account


class Accounts:
    """The accounts of clients, each made when it is first needed.

    Args:
        clients: the clients; they can be replaced at any time.
        dialer: returns a dialer that dials the targets which a guard allows.
    """

    def __init__(self, clients: Clients, dialer: Callable[[TargetFilter], Connector]) -> None:
        self._clients = clients
        self._dialer = dialer
        self._accounts: dict[str, tuple[Client, Account]] = {}

    def __call__(self, name: str) -> Account:
        """Return the account of the client of that name.

        Raises:
            KeyError: there is no such client.
        """
        client = self._clients[name]
        before, account = self._accounts.get(name, (None, None))
        if account is None:
            account = Account(self._dialer(client.guard), client.max_tunnels, client.bandwidth)
        elif before is not client:  # the client was replaced; its open tunnels still count
            account.connector = self._dialer(client.guard)
            account.max_tunnels = client.max_tunnels
            account.rate = client.bandwidth
            if account.bandwidth is not None:
                account.bandwidth.set_rate(client.bandwidth)
        else:
            return account
        self._accounts[name] = client, account
        return account
