"""The jump server of the settings, which can be given others while it serves."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from netjumper.addressing.listeners import CLEAR, TLS
from netjumper.app.clients import BYTES_IN_MEGABIT, clients_of
from netjumper.app.socket_options import server_options
from netjumper.daemon.descriptors import max_descriptors
from netjumper.errors import SettingsError
from netjumper.net.listening_sockets import ListenTarget
from netjumper.server.clients import Client, Clients
from netjumper.server.jump_server import jump_server
from netjumper.sessions.admission import AdmissionLimits
from netjumper.sessions.manager import TunnelLimits
from netjumper.sessions.service import Service
from netjumper.settings.files import refuse_shared_key
from netjumper.settings.loader import Loaded
from netjumper.settings.server import RELOADABLE, ServerSettings
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
    """Settings that were found to be right, with what stands in the files that they name."""

    loaded: Loaded[ServerSettings]
    clients: Sequence[Client]
    encryption: Encryption | None

    @property
    def settings(self) -> ServerSettings:
        """The settings themselves."""
        return self.loaded.settings


Prepare = Callable[[], Prepared]


def prepare(loaded: Loaded[ServerSettings], targets: ListenTargets) -> Prepared:
    """Read the files that settings name; keys are made of secrets, which may take seconds.

    Args:
        loaded: the settings.
        targets: where it listens, which may differ from the addresses of the settings.

    Raises:
        SettingsError: one of them cannot be used.
    """
    clients = clients_of(loaded)
    return Prepared(loaded, clients, _encryption(loaded, clients, targets))


def _encryption(
    loaded: Loaded[ServerSettings], clients: Sequence[Client], targets: ListenTargets
) -> Encryption | None:
    settings = loaded.settings
    certificate = settings.certificate_file
    where = loaded.origin("listen_tls" if certificate is None else "certificate_file")
    if not targets.get(TLS.name):
        if certificate is not None:
            raise SettingsError(f"{where}: nothing listens with TLS; give listen_tls too")
        return None
    refuse_shared_key(certificate, where)
    try:
        if certificate is None:
            return server_with_secrets((it.name, secret) for it in clients for secret in it.secrets)
        return server_with_certificate(certificate, settings.client_ca_file)
    except AuthorityError as error:
        raise SettingsError(f"{loaded.origin('client_ca_file')}: {error}") from None
    except EncryptionError as error:
        raise SettingsError(f"{where}: {error}") from None


class JumpServer:
    """The jump server.

    Args:
        prepared: the settings that it begins with.
        targets: where it listens.
    """

    def __init__(self, prepared: Prepared, targets: ListenTargets) -> None:
        settings = prepared.settings
        options = server_options(settings)
        encryption = prepared.encryption
        self._settings = settings
        self._clients = Clients(prepared.clients)
        self._encryption = None if encryption is None else ReloadableTls(encryption)
        self._to_renew: Prepare | None = None
        self._renewing: asyncio.Task[None] | None = None
        self.service: Service = jump_server(
            listen=targets.get(CLEAR.name, ()),
            listen_tls=targets.get(TLS.name, ()),
            encryption=self._encryption,
            clients=self._clients,
            dial_timeout=settings.dial_timeout,
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

    def reload(self, prepare_anew: Prepare) -> None:
        """Take the settings anew, with what can change while it serves; tunnels go on.

        Where something is wrong with them that is told, and the old ones hold.
        """
        self._to_renew = prepare_anew
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while (prepare_anew := self._to_renew) is not None:  # told once more meanwhile
            self._to_renew = None
            try:
                prepared = await run_in_daemon_thread(prepare_anew)
            except Exception as error:  # noqa: BLE001 - whatever it is, the old ones hold
                tell_kept(error)
            else:
                self._take(prepared)

    def _take(self, prepared: Prepared) -> None:
        warn_restart_needed(self._settings, prepared)
        self._clients.replace(prepared.clients)
        if self._encryption is not None and prepared.encryption is not None:
            self._encryption.current = prepared.encryption
        admission = self.service.sessions.context.admission
        admission.set_limits(_limits(prepared.settings))
        for client in self._clients:
            admission.account_of(client.name)  # where it has a bandwidth, that changes at once
        logging.getLogger().setLevel(prepared.settings.log_level.upper())
        _LOG.info("settings are taken anew")


def _limits(settings: ServerSettings) -> AdmissionLimits:
    return AdmissionLimits(
        tunnels=settings.max_tunnels or None,
        tunnels_per_source=settings.max_tunnels_per_source or None,
        bandwidth=settings.bandwidth * BYTES_IN_MEGABIT or None,
        unauthenticated=_most_unauthenticated(settings),
        auth_failures=settings.max_auth_failures,
        ban_time=settings.ban_time,
    )


def _most_unauthenticated(settings: ServerSettings) -> int | None:
    """Return the setting, or a quarter of the descriptors: the rest is for who comes in."""
    few = max_descriptors()
    limits = (settings.max_unauthenticated or inf, inf if few is None else few // 4)
    return None if min(limits) == inf else int(min(limits))


def try_reload(prepare_anew: Prepare) -> Prepared | None:
    """Return the settings as they are now; None, and the reason in the log, if they are wrong."""
    try:
        return prepare_anew()
    except Exception as error:  # noqa: BLE001 - whatever it is, the old ones hold
        tell_kept(error)
        return None


def tell_kept(error: Exception) -> None:
    """Tell why settings are not taken anew."""
    if isinstance(error, SettingsError):
        for line in error.lines:
            _LOG.error("%s", line)
    else:
        _LOG.error("a bug of netjumper: %s", type(error).__name__, exc_info=error)
    _LOG.error("settings are not taken anew: the old ones hold")


def warn_restart_needed(before: ServerSettings, prepared: Prepared) -> None:
    """Tell which settings have changed that only a restart can take."""
    now = prepared.settings
    for key in sorted(ServerSettings.model_fields.keys() - RELOADABLE):
        if getattr(before, key) != getattr(now, key):
            _LOG.warning("%s: changed, and takes a restart", prepared.loaded.origin(key))


async def run_in_daemon_thread(work: Callable[[], AnyT]) -> AnyT:
    """Do in a thread what takes long; unlike `asyncio.to_thread`, no end of the loop waits for it.

    Raises:
        RuntimeError: the system grants no more threads; otherwise whatever `work` raises.
    """
    future: Future[AnyT] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is for who waits
            future.set_exception(error)

    threading.Thread(target=run, name="netjumper aside", daemon=True).start()
    return await asyncio.wrap_future(future)
