"""Settings that were loaded: the values, and where each came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.files import read_secret
from netjumper.settings.server import ServerSettings
from netjumper.settings.sources import Origin, OriginKind

SettingsT = TypeVar("SettingsT", ServerSettings, BridgeSettings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[SettingsT]):
    """Valid settings.

    Attributes:
        settings: the values.
        origins: where each value came from that is not a default, by its key.
        warnings: lines to show to the user.
        file: the settings file that was read, for messages; empty if there was none.
    """

    settings: SettingsT
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()
    file: str = ""

    def origin(self, key: str) -> str:
        """Return where the value of a setting came from, for messages."""
        return str(self.origins.get(key, f"{key} (default)"))

    def is_from_command_line(self, key: str) -> bool:
        """Whether the command line gave the value of a setting."""
        origin = self.origins.get(key)
        return origin is not None and origin.kind is OriginKind.COMMAND_LINE

    def with_warning(self, warning: str) -> "Loaded[SettingsT]":
        """Return the same settings with one more warning."""
        return replace(self, warnings=(*self.warnings, warning))

    def secret(self) -> bytes:
        """Return the shared secret, read from `secret_file` if that is given; empty without one.

        Raises:
            SettingsError: the file cannot be used.
        """
        settings = self.settings
        if settings.secret_file is not None:
            return read_secret(settings.secret_file, self.origin("secret_file"))
        if settings.secret is None:
            return b""
        # In the environment, bytes that are not UTF-8 are surrogates: turn them back into bytes.
        return settings.secret.get_secret_value().encode("utf-8", "surrogateescape")


AnyLoaded = Loaded[ServerSettings] | Loaded[BridgeSettings]
