"""Settings that were loaded: the values, and where each came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.files import read_secret, refuse_shared_key
from netjumper.settings.secret_strength import refuse_weak_secrets, warnings_about
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

    def with_warning(self, *warnings: str) -> "Loaded[SettingsT]":
        """Return the same settings with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def with_checked_secrets(self, secrets: Sequence[tuple[str, bytes]]) -> "Loaded[SettingsT]":
        """Return the same settings with warnings about weak secrets.

        Args:
            secrets: each with what named it.

        Raises:
            SettingsError: one is too short, and `allow_weak_secret` is not set.
        """
        if not self.settings.allow_weak_secret:
            refuse_weak_secrets(secrets)
        return self.with_warning(*warnings_about(secrets))

    def refuse_shared_key(self) -> None:
        """Check that only the owner can read the file with the key of the own certificate.

        Raises:
            SettingsError: others can.
        """
        key = "certificate_file" if self.settings.key_file is None else "key_file"
        refuse_shared_key(getattr(self.settings, key), self.origin(key))

    @property
    def secret_origin(self) -> str:
        """Where the shared secret came from, for messages."""
        return self.origin("secret" if self.settings.secret_file is None else "secret_file")

    def secret(self) -> bytes:
        """Return the shared secret, read from `secret_file` if that is given; empty without one.

        Raises:
            SettingsError: the file cannot be used.
        """
        settings = self.settings
        if settings.secret_file is not None:
            return read_secret(settings.secret_file, self.secret_origin)
        if settings.secret is None:
            return b""
        # In the environment, bytes that are not UTF-8 are surrogates: turn them back into bytes.
        return settings.secret.get_secret_value().encode("utf-8", "surrogateescape")


AnyLoaded = Loaded[ServerSettings] | Loaded[BridgeSettings]
