"""What a blocking client of a jump host has in common with others."""

import socket
import time

from netjumper.addressing.address import Address
from netjumper.dial_errors import from_gaierror, from_oserror


def reason_of(error: OSError, address: Address) -> str:
    """Return why `address` was not reached, in the same few words for all who dial a jump host."""
    if isinstance(error, TimeoutError):
        return "i/o timeout"
    if isinstance(error, socket.gaierror):
        return from_gaierror(error, address.host).reason
    return from_oserror(error, str(address)).reason


def seconds_left(deadline: float) -> float:
    """Return the seconds until then, a little where it is over: 0 would mean not to block."""
    return max(deadline - time.monotonic(), 1e-3)
