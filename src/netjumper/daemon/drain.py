"""The end of a service: it stops accepting, waits for its tunnels, and aborts the rest."""

import asyncio
import contextlib
import logging

from netjumper.sessions.service import Service, Sessions
from netjumper.text import counted

_LOG = logging.getLogger("netjumper")


async def drain(service: Service[Sessions], grace: float, abort: asyncio.Event) -> None:
    """Stop accepting, wait for the tunnels, and abort the rest.

    Args:
        service: is closed afterwards.
        grace: seconds to wait.
        abort: ends the wait when it is set.
    """
    service.stop_accepting()
    waiting = service.sessions.waiting
    if waiting and grace:
        _LOG.info(
            "stopping: waiting up to %g s for %s; a second signal aborts them",
            grace,
            counted(waiting, "tunnel"),
        )
    else:
        _LOG.info("stopping: %s open", counted(waiting, "tunnel"))
    drained = asyncio.ensure_future(service.close(grace))
    aborted = asyncio.ensure_future(abort.wait())
    await asyncio.wait([drained, aborted], return_when=asyncio.FIRST_COMPLETED)
    aborted.cancel()
    if not drained.done():
        drained.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drained
        rest = await service.close()
    else:
        rest = drained.result()
    if rest:
        _LOG.warning("aborted %s", counted(rest, "tunnel"))
