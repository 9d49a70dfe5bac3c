"""The jump hosts of the settings, with the credentials for each."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netjumper.addressing.address import Address
from netjumper.client.encryption import client_for
from netjumper.errors import SettingsError
from netjumper.settings.bridge import BridgeSettings
from netjumper.settings.loaded import Loaded
from netjumper.tls.certificates import AuthorityError, CertificateError, EncryptionError
from netjumper.tls.context import Encryption


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A jump host and what a connection to it needs.

    Attributes:
        address: its address.
        secret: the secret that authenticates the bridge there.
        encryption: the TLS of connections to it; None is unencrypted.
    """

    address: Address
    secret: bytes = field(repr=False)
    encryption: Encryption | None = None


LoadedBridge = Loaded[BridgeSettings]


def known_hosts(loaded: LoadedBridge) -> tuple[LoadedBridge, list[KnownHost]]:
    """Return the jump hosts of a bridge, none with `embedded`, and the settings with warnings.

    Raises:
        SettingsError: a file cannot be used, a secret is too short, or TLS is not available as the
            settings ask for it.
    """
    hosts = list(_known(loaded))
    own = f"{loaded.origin('jump')}: "
    secrets = {
        it.secret: f"{own}{it.address}" if url.secret else loaded.secret_origin
        for it, url in zip(hosts, loaded.settings.jump, strict=True)
    }
    return loaded.with_checked_secrets([(where, it) for it, where in secrets.items()]), hosts


def _known(loaded: Loaded[BridgeSettings]) -> Iterator[KnownHost]:
    settings = loaded.settings
    loaded.refuse_shared_key()
    for key, problem in _without_effect(settings):
        if not _overridden(loaded, key):
            raise SettingsError(f"{loaded.origin(key)}: {problem}")
    shared = loaded.secret() if any(not it.secret for it in settings.jump) else b""
    for url in settings.jump:
        secret = url.secret.encode("utf-8", "surrogateescape") or shared
        try:
            encryption = client_for(
                url, secret, settings.ca_file, settings.certificate_file, settings.key_file
            )
        except AuthorityError as error:
            raise SettingsError(f"{loaded.origin('ca_file')}: {error}") from None
        except CertificateError as error:
            raise SettingsError(f"{loaded.origin('certificate_file')}: {error}") from None
        except EncryptionError as error:
            raise SettingsError(f"{loaded.origin('jump')}: {url.address}: {error}") from None
        yield KnownHost(url.address, secret, encryption)


def _overridden(loaded: Loaded[BridgeSettings], key: str) -> bool:
    """Whether the command line names other jump hosts than those that a setting is for."""
    named = loaded.settings.embedded or loaded.is_from_command_line("jump")
    return named and not loaded.is_from_command_line(key)


def _without_effect(settings: BridgeSettings) -> Iterator[tuple[str, str]]:
    """Yield (key, problem) for each file that is used with no jump host."""
    with_tls = [it for it in settings.jump if it.tls]
    by_ours = [it for it in with_tls if not it.pins and not it.system_ca]
    if settings.ca_file is not None and not by_ours:
        yield (
            "ca_file",
            (
                "no jump host is verified with this CA; write netjumper+tls://HOST without pin "
                "and ca"
            ),
        )
    if settings.certificate_file is not None and not (
        settings.ca_file is not None or any(it.pins or it.system_ca for it in with_tls)
    ):
        yield (
            "certificate_file",
            (
                "no jump host gets this certificate; write netjumper+tls://HOST with pin or "
                "ca=system, or set ca_file"
            ),
        )
