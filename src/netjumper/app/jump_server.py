"""Builds the jump server from settings, and reloads them while it serves."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from netjumper.addressing.listeners import CLEAR, TLS
from netjumper.app.clients import BYTES_IN_MEGABIT, clients_of, secrets_of
from netjumper.app.socket_options import server_options
from netjumper.daemon.descriptors import max_descriptors
from netjumper.errors import SettingsError
from netjumper.net.listening_sockets import ListenTarget
from netjumper.server.clients import Client, Clients
from netjumper.server.jump_server import jump_server
from netjumper.sessions.admission import AdmissionLimits
from netjumper.sessions.manager import SessionManager, TunnelLimits
from netjumper.sessions.service import Service
from netjumper.settings.loaded import Loaded
from netjumper.settings.server import ServerSettings
from netjumper.tls.certificates import AuthorityError, EncryptionError
from netjumper.tls.context import (
    Encryption,
    ReloadableTls,
    server_with_certificate,
    server_with_secrets,
)

AnyT = TypeVar("AnyT")


ListenTargets = Mapping[str, Sequence[ListenTarget]]
"""Where to listen, by the name of the listener."""
_LOG = logging.getLogger("netjumper")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Checked settings, with the content of the files that they name.

    Attributes:
        loaded: the settings.
        clients: all clients of the server.
        encryption: the TLS of its listeners; None without TLS.
    """

    loaded: Loaded[ServerSettings]
    clients: Sequence[Client]
    encryption: Encryption | None

    @property
    def settings(self) -> ServerSettings:
        """The settings themselves."""
        return self.loaded.settings


Prepare = Callable[[], Prepared]
"""Reads the settings again; raises `SettingsError` if they cannot be used."""


def prepare(loaded: Loaded[ServerSettings], targets: ListenTargets) -> Prepared:
    """Read the files that settings name, and derive keys from secrets, which may take seconds.

    Args:
        loaded: the settings.
        targets: where it listens, which may differ from the addresses of the settings.

    Raises:
        SettingsError: a file cannot be used.
    """
    clients = clients_of(loaded)
    loaded = loaded.with_checked_secrets(list(secrets_of(loaded, clients)))
    return Prepared(loaded, clients, _encryption(loaded, clients, targets))


def _encryption(
    loaded: Loaded[ServerSettings], clients: Sequence[Client], targets: ListenTargets
) -> Encryption | None:
    settings = loaded.settings
    certificate = settings.certificate_file
    where = loaded.origin("listen_tls" if certificate is None else "certificate_file")
    if not targets.get(TLS.name):
        if certificate is not None:
            raise SettingsError(f"{where}: no listener uses TLS; set listen_tls")
        return None
    loaded.refuse_shared_key()
    try:
        if certificate is None:
            return server_with_secrets((it.name, secret) for it in clients for secret in it.secrets)
        return server_with_certificate(certificate, settings.client_ca_file, settings.key_file)
    except AuthorityError as error:
        raise SettingsError(f"{loaded.origin('client_ca_file')}: {error}") from None
    except EncryptionError as error:
        raise SettingsError(f"{where}: {error}") from None


class JumpServer:
    """A jump server whose settings can be reloaded.

    Args:
        prepared: the settings at the start.
        targets: where it listens.
    """

    def __init__(self, prepared: Prepared, targets: ListenTargets) -> None:
        settings = prepared.settings
        options = server_options(settings)
        encryption = prepared.encryption
        self._settings = settings
        self._clients = Clients(prepared.clients)
        self._encryption = None if encryption is None else ReloadableTls(encryption)
        self._requested: Prepare | None = None
        self._reloading: asyncio.Task[None] | None = None
        self.service: Service[SessionManager] = jump_server(
            listen=targets.get(CLEAR.name, ()),
            listen_tls=targets.get(TLS.name, ()),
            encryption=self._encryption,
            clients=self._clients,
            dial_timeout=settings.dial_timeout,
            lookup_timeout=settings.lookup_timeout,
            limits=TunnelLimits(
                handshake=settings.handshake_timeout,
                parked=settings.parked_timeout,
                max_parked=settings.max_parked_per_client,
                idle=settings.idle_timeout or None,
            ),
            admission=_limits(settings),
            listening=options.listening,
            dialling=options.dialling,
        )

    def reload(self, prepare_again: Prepare) -> None:
        """Read the settings again and apply those that need no restart; tunnels continue.

        If they cannot be used, the reason is logged and the previous settings stay.

        Args:
            prepare_again: reads them, in a thread.
        """
        self._requested = prepare_again
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while (prepare_again := self._requested) is not None:  # requested again during a reload
            self._requested = None
            try:
                prepared = await run_in_daemon_thread(prepare_again)
            except Exception as error:  # noqa: BLE001 - whatever it is, the previous settings stay
                log_reload_failure(error)
            else:
                self._apply(prepared)

    def _apply(self, prepared: Prepared) -> None:
        warn_restart_needed(self._settings, prepared)
        self._clients.replace(prepared.clients)
        if self._encryption is not None and prepared.encryption is not None:
            self._encryption.current = prepared.encryption
        admission = self.service.sessions.context.admission
        admission.set_limits(_limits(prepared.settings))
        for client in self._clients:
            admission.account_of(client.name)  # applies a changed bandwidth at once
        logging.getLogger().setLevel(prepared.settings.log_level.upper())
        _LOG.info("settings reloaded")


def _limits(settings: ServerSettings) -> AdmissionLimits:
    return AdmissionLimits(
        tunnels=settings.max_tunnels or None,
        tunnels_per_source=settings.max_tunnels_per_source or None,
        bandwidth=settings.bandwidth * BYTES_IN_MEGABIT or None,
        unauthenticated=_max_unauthenticated(settings),
        auth_failures=settings.max_auth_failures,
        ban_time=settings.ban_time,
    )


def _max_unauthenticated(settings: ServerSettings) -> int | None:
    """Return the limit: the setting, but no more than a quarter of all descriptors."""
    descriptors = max_descriptors()
    limits = (settings.max_unauthenticated or inf, inf if descriptors is None else descriptors // 4)
    return None if min(limits) == inf else int(min(limits))


def try_reload(prepare_again: Prepare) -> Prepared | None:
    """Read the settings again; if they cannot be used, log the reason and return None."""
    try:
        return prepare_again()
    except Exception as error:  # noqa: BLE001 - whatever it is, the previous settings stay
        log_reload_failure(error)
        return None


def log_reload_failure(error: Exception) -> None:
    """Log why settings were not reloaded."""
    if isinstance(error, SettingsError):
        for line in error.lines:
            _LOG.error("%s", line)
    else:
        _LOG.error("bug in netjumper: %s", type(error).__name__, exc_info=error)
    _LOG.error("reload failed, keeping the previous settings")


def warn_restart_needed(before: ServerSettings, prepared: Prepared) -> None:
    """Log each changed setting that only a restart applies."""
    now = prepared.settings
    for key in sorted(ServerSettings.model_fields.keys() - ServerSettings.reloadable_keys()):
        if getattr(before, key) != getattr(now, key):
            _LOG.warning("%s: changed; restart required", prepared.loaded.origin(key))


async def run_in_daemon_thread(work: Callable[[], AnyT]) -> AnyT:
    """Run a function in a daemon thread; unlike `asyncio.to_thread`, a closing loop does not wait.

    Args:
        work: the function.

    Raises:
        RuntimeError: the system permits no more threads; otherwise whatever `work` raises.
    """
    future: Future[AnyT] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            future.set_exception(error)

    threading.Thread(target=run, name="netjumper background", daemon=True).start()
    return await asyncio.wrap_future(future)
