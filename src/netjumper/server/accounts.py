"""What each client of a jump server has: a dialer with its guard, and a count of its tunnels."""

from collections.abc import Callable

from netjumper.net.connector import Connector, TargetFilter
from netjumper.server.clients import Client, Clients
from netjumper.sessions.admission import Account


class Accounts:
    """The accounts of clients, each made when it is first needed.

    Args:
        clients: whose accounts they are; others may take their place at any time.
        dialer: returns what dials the targets that a guard allows.
    """

    def __init__(self, clients: Clients, dialer: Callable[[TargetFilter], Connector]) -> None:
        self._clients = clients
        self._dialer = dialer
        self._accounts: dict[str, tuple[Client, Account]] = {}

    def __call__(self, name: str) -> Account:
        """Return the account of the client of that name."""
        client = self._clients[name]
        before, account = self._accounts.get(name, (None, None))
        if account is None:
            account = Account(self._dialer(client.guard), client.max_tunnels, client.bandwidth)
        elif before is not client:  # it was replaced: its tunnels still count
            account.connector = self._dialer(client.guard)
            account.max_tunnels = client.max_tunnels
            account.rate = client.bandwidth
            if account.bandwidth is not None:
                account.bandwidth.set_rate(client.bandwidth)
        else:
            return account
        self._accounts[name] = client, account
        return account
