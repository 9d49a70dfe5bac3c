"""The file with the clients of a jump server: one table for each (`docs/clients.md`)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from netjumper.addressing.jump_url import CLIENT_NAME, CLIENT_NAME_RULE
from netjumper.errors import SettingsError
from netjumper.settings.files import read_toml, refuse_if_shared
from netjumper.settings.messages import describe_wrong_value, did_you_mean, expectation
from netjumper.settings.types import Bandwidth, Count, Expected, Rules
from netjumper.text import quoted

ValueT = TypeVar("ValueT")


def _expires(value: object) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("the offset from UTC is missing")
        return value
    if isinstance(value, date):
        return datetime.combine(value, time.max, tzinfo=UTC)  # to the end of that day
    raise ValueError


def _secrets(value: object) -> tuple[SecretStr, ...]:
    texts = value if isinstance(value, list) else []
    if not texts or not all(isinstance(it, str) and it.strip() for it in texts):
        raise ValueError
    return tuple(SecretStr(it) for it in texts)


Expiry = Annotated[
    datetime | None,
    PlainValidator(_expires),
    Expected("a date, such as 2027-01-31, or a time, such as 2027-01-31T18:00:00Z"),
]
Secrets = Annotated[
    tuple[SecretStr, ...],
    PlainValidator(_secrets),
    Expected("a list of non-empty texts (`netjumper keygen` makes one)"),
]


class ClientTable(BaseModel):
    """The settings of one client."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)

    secrets: Secrets
    expires: Expiry = None
    allow: Rules = ()
    deny: Rules = ()
    max_tunnels: Count = 0
    bandwidth: Bandwidth = 0.0

    def own(self, key: str, otherwise: ValueT) -> ValueT:
        """Return the client's own value of a key; `otherwise` if it has none."""
        return getattr(self, key) if key in self.model_fields_set else otherwise


def read_clients(path: Path, where: str) -> dict[str, ClientTable]:
    """Return the settings of each client in a file, by name.

    Args:
        path: the file.
        where: what named it, for messages.

    Raises:
        SettingsError: the file cannot be read, others can read it, or something in it is wrong; no
            line of the error has a secret.
    """
    try:
        file = read_toml(path, where)
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(f"{where}: no such file: {path}") from None
    refuse_if_shared(path, file.status, where)
    if not file.content:
        raise SettingsError(f"{where}: {path}: expected a table for each client, found none")
    problems: list[str] = []
    clients: dict[str, ClientTable] = {}
    for name, table in file.content.items():
        try:
            clients[name] = _client(name, table)
        except ValidationError as error:
            problems += [
                f"[{name}] {_describe(table, it)}" for it in error.errors(include_url=False)
            ]
        except SettingsError as error:
            problems += error.lines
    problems += _shared_secrets(clients)
    if problems:
        raise SettingsError(*(f"{where}: {path}: {it}" for it in problems))
    return clients


def _client(name: str, table: Any) -> ClientTable:
    if not CLIENT_NAME.fullmatch(name):
        raise SettingsError(f"{quoted(name)}: a client's name is {CLIENT_NAME_RULE}")
    if not isinstance(table, dict):
        raise SettingsError(f"{name}: is in no table; a client is a table, such as [alice]")
    return ClientTable(**table)


def _describe(table: Mapping[str, object], error: ErrorDetails) -> str:
    key = str(error["loc"][0])
    info = ClientTable.model_fields.get(key)
    if info is None:
        return f"{quoted(key)}: unknown key{did_you_mean(key, ClientTable.model_fields)}"
    expected = expectation(info)
    if key == "secrets":
        return f"{key}: expected {expected.text}"
    return f"{key}: {describe_wrong_value(error, expected, table[key])}"


def _shared_secrets(clients: dict[str, ClientTable]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, client in clients.items():
        for secret in client.secrets:
            other = owners.setdefault(secret.get_secret_value(), name)
            if other != name:
                problem = f"one is also a secret of {other}; each client needs its own"
                yield f"[{name}] secrets: {problem}"
