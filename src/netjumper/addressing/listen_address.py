"""Listen addresses as people write them: `HOST:PORT` or `unix:/path`."""

from dataclasses import dataclass

from netjumper.addressing.address import Address, ip_literal, no_port, parse_port, refuse_scheme
from netjumper.errors import AddressError
from netjumper.text import quoted


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A listen address: `HOST:PORT` (port 0 lets the system choose) or `unix:/path`."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else str(Address(self.host, self.port))

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Parse `HOST:PORT`, `[::1]:PORT`, `:PORT` (every address), a bare `PORT`, `unix:/path`.

        Raises:
            AddressError: the text is none of these.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path or "\0" in path:
                raise AddressError(f"{quoted(text)}: write unix:/path/of/the/socket")
            return cls("", 0, path)
        refuse_scheme(text, "HOST:PORT")
        host, colon, port = text.rpartition(":")
        if text.endswith("]") or (text and not colon and not text.isdigit()):
            raise no_port(text)
        number = 0 if port == "0" else parse_port(port)
        if not host:
            return cls("::", number)
        address = Address.parse(f"{host}:{number or 1}")
        return cls(address.host, number)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect to it."""
        if self.path or self.host.lower() == "localhost":
            return True
        literal = ip_literal(self.host)
        return literal is not None and literal.is_loopback


def reachable_from_here(address: str) -> str:
    """Return how this machine reaches a listening address, `0.0.0.0` and `[::]` included."""
    host, _, port = address.rpartition(":")
    loopback = {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}  # noqa: S104 - not bound
    return f"{loopback.get(host, host)}:{port}"
