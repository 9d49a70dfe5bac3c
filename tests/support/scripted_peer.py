"""A peer that follows a script of bytes, pauses and other steps, such as a faulty jump server."""

import asyncio
import os
import socket
from enum import Enum

from netjumper.addressing.address import Address
from netjumper.protocol.wire import CHALLENGE_SIZE, frame
from tests.support.peers import Behaviour, echo, receive_exactly, receive_to_end, reset, send


class Step(Enum):
    """A step of a scripted peer other than sending and receiving."""

    CHALLENGE = "send a new challenge"
    RESET = "reset"
    SILENCE = "say nothing more"
    ECHO = "echo"


Script = bytes | int | asyncio.Event | Step

CHALLENGE = b"\x20" + b"c" * 32
ANSWER = 21
"""Bytes of the frame of an answer."""


def destination_size(target: Address) -> int:
    """Return the size in bytes of the frame of a target."""
    return 1 + len(str(target))


def scripted(*steps: Script) -> Behaviour:
    """Return a behaviour that executes a script and closes the connection.

    Args:
        steps: bytes to send, a number of bytes to receive, an event to wait for, or a `Step`.
    """

    async def behave(sock: socket.socket) -> None:
        for step in steps:
            if isinstance(step, bytes):
                await send(sock, step)
            elif isinstance(step, int):
                await receive_exactly(sock, step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is Step.CHALLENGE:
                await send(sock, frame(os.urandom(CHALLENGE_SIZE)))
            elif step is Step.RESET:
                reset(sock)
                return
            elif step is Step.ECHO:
                await echo(sock)
            else:
                await receive_to_end(sock)

    return behave


def dripping(data: bytes, *, after: bytes = b"", interval: float = 0.05) -> Behaviour:
    """Return a behaviour that sends `after` at once, and then `data` again and again, slowly.

    Args:
        data: sent one byte at a time.
        after: sent before it.
        interval: seconds between two bytes.
    """

    async def behave(sock: socket.socket) -> None:
        await send(sock, after)
        while True:
            for byte in data:
                await send(sock, bytes((byte,)))
                await asyncio.sleep(interval)

    return behave


def endless(data: bytes, *, after: bytes = b"") -> Behaviour:
    """Return a behaviour that sends `after`, and then `data` again and again as fast as it can."""

    async def behave(sock: socket.socket) -> None:
        await send(sock, after)
        while True:
            await send(sock, data * 64)

    return behave
