"""The plan of one connection: its client makes it and sends it to the target."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

LONGEST_LINE = 512
"""Bytes of a plan's line at most."""
_BLOCK = random.Random(7).randbytes(1_000_003)
"""What all contents are cut from; its size is a prime, so that no buffer's size divides it."""


class Course(StrEnum):
    """In which order the two sides send and end."""

    ANSWER = "the target answers to the end of the request"
    TOGETHER = "both send at a time"
    TARGET_FIRST = "the target has ended before the client sends"
    TARGET_RESETS = "the target resets in the middle"
    CLIENT_RESETS = "the client resets in the middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent on one connection.

    Attributes:
        course: in which order.
        seed: what the contents are made from.
        up: bytes that the client has for the target.
        down: bytes that the target has for the client.
        piece: bytes that are sent at a time, at most.
        stalls: how often, on average, each side does nothing for a while.
    """

    course: Course
    seed: int
    up: int
    down: int
    piece: int
    stalls: float

    def line(self) -> bytes:
        """Return it as the target reads it."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Plan":
        """Return what `line` made."""
        found = json.loads(line)
        return cls(**{**found, "course": Course(found["course"])})

    def pieces(self, way: str, size: int) -> Iterator[tuple[bytes, float]]:
        """Yield what is sent that `way`, each with the seconds of a pause behind it.

        Args:
            way: `up` or `down`.
            size: how much of it.
        """
        chance = random.Random(f"{self.seed} {way} pieces")
        begin = _begin(self.seed, way)
        sent = 0
        while sent < size:
            count = min(chance.randint(1, self.piece), size - sent)
            stalls = chance.random() < self.stalls * count / size
            yield _cut(begin + sent, count), chance.uniform(0.1, 3.0) if stalls else 0.0
            sent += count

    def digest(self, way: str, size: int) -> bytes:
        """Return the SHA-256 of the first `size` bytes that are sent that way."""
        digest = hashlib.sha256()
        begin = _begin(self.seed, way)
        for done in range(0, size, len(_BLOCK)):
            digest.update(_cut(begin + done, min(len(_BLOCK), size - done)))
        return digest.digest()


def random_plan(chance: random.Random, max_bytes: int) -> Plan:
    """Return a plan: small and large, mostly in one go, sometimes byte by byte."""
    piece = chance.choice([1, 7, 1_000, 16_384, 65_536, 300_000, 300_000])
    most = min(max_bytes, 300 * piece)
    return Plan(
        course=chance.choices(list(Course), [6, 4, 3, 2, 2])[0],
        seed=chance.getrandbits(48),
        up=_size(chance, most),
        down=_size(chance, most),
        piece=piece,
        stalls=chance.choice([0.0, 0.0, 0.0, 1.0]),
    )


def _size(chance: random.Random, most: int) -> int:
    return int(most ** chance.random()) - 1


def _begin(seed: int, way: str) -> int:
    return random.Random(f"{seed} {way}").randrange(len(_BLOCK))


def _cut(begin: int, count: int) -> bytes:
    at = begin % len(_BLOCK)
    data = _BLOCK[at : at + count]
    while len(data) < count:
        data += _BLOCK[: count - len(data)]
    return data
