"""requests through a jump host: a session, and the adapter that it is made of.

requests sends by an adapter; its own adapter has a urllib3 pool manager.
"""

from typing import Any

from netjumper.errors import NetjumperError
from netjumper.integrations import missing
from netjumper.integrations._jumper import OpensTunnels

try:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import LocationValueError

    from netjumper.integrations.urllib3 import JumperPoolManager
except ModuleNotFoundError as error:
    raise missing("requests", error) from error

__all__ = ["JumperAdapter", "JumperSession"]


class JumperAdapter(HTTPAdapter):
    """An adapter that sends all requests through a jump host, whatever proxies are set.

    Args:
        jumper: the jump host.
        **options: as for `requests.adapters.HTTPAdapter`.

    If a tunnel cannot be opened, requests raise `requests.ConnectionError` or
    `requests.ConnectTimeout` with netjumper's error as `__cause__`, and `requests.exceptions.
    InvalidURL` for an invalid host.
    """

    def __init__(self, jumper: OpensTunnels, **options: Any) -> None:
        self._jumper = jumper
        super().__init__(**options)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a JumperAdapter cannot be pickled: it holds the secret")

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Make the pool manager, for requests."""
        self.poolmanager = JumperPoolManager(
            self._jumper, num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs
        )

    def proxy_manager_for(self, *_: Any, **__: Any) -> Any:
        """Refuse: no request goes through another proxy."""
        raise requests.exceptions.ProxyError("an adapter through a jump host uses no other proxy")

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """Send a request and return the response, for requests."""
        # A session adds the environment's proxies here, and their passwords on a redirect.
        kwargs["proxies"] = None
        request.headers.pop("Proxy-Authorization", None)
        try:
            return super().send(request, *args, **kwargs)
        except LocationValueError as error:
            raise requests.exceptions.InvalidURL(str(error), request=request) from (
                _cause_of(error) or error
            )
        except requests.ConnectionError as error:
            # requests raises its errors without a cause, with urllib3's error as an argument.
            origin = error.args[0] if error.args else None
            if isinstance(origin, Exception) and (ours := _cause_of(origin)):
                raise error from ours
            raise


class JumperSession(requests.Session):
    """A session that sends all http and https requests through a jump host.

    Args:
        jumper: the jump host.
        **options: for the adapter, as for `requests.adapters.HTTPAdapter`.

    Proxies of the environment are not used; proxies given to a request or set on the session
    raise `requests.exceptions.ProxyError`.
    """

    def __init__(self, jumper: OpensTunnels, **options: Any) -> None:
        super().__init__()
        adapter = JumperAdapter(jumper, **options)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; arguments as for `requests.Session.request`, without `proxies`."""
        if self.proxies or kwargs.get("proxies"):
            raise requests.exceptions.ProxyError(
                "a session through a jump host uses no other proxy"
            )
        return super().request(*args, **kwargs)


def _cause_of(error: BaseException) -> NetjumperError | None:
    """Return the netjumper error that `error` was raised from, at any depth."""
    # Not by `__context__`: that can be an error that the caller is handling.
    cause = error.__cause__
    while cause is not None and not isinstance(cause, NetjumperError):
        cause = cause.__cause__
    return cause
