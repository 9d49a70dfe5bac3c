"""The plan of one connection, which its client makes and sends to the target."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

MAX_LINE_BYTES = 512
_BLOCK = random.Random(7).randbytes(1_000_003)
"""The source of all contents; its size is a prime, so that no buffer's size divides it."""


class Course(StrEnum):
    """The order in which the two sides send and end."""

    ANSWER = "the target answers after the end of the request"
    TOGETHER = "both send at the same time"
    TARGET_FIRST = "the target ends before the client sends"
    TARGET_RESETS = "the target resets in the middle"
    CLIENT_RESETS = "the client resets in the middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The contents of one connection.

    Attributes:
        course: the order of sending and ending.
        seed: determines the contents.
        up: bytes from the client to the target.
        down: bytes from the target to the client.
        piece: maximum number of bytes that are sent at a time.
        stalls: mean number of pauses of each side.
    """

    course: Course
    seed: int
    up: int
    down: int
    piece: int
    stalls: float

    def line(self) -> bytes:
        """Return the plan as the line that the target reads."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Plan":
        """Return the plan of a line."""
        found = json.loads(line)
        return cls(**{**found, "course": Course(found["course"])})

    def pieces(self, direction: str, size: int) -> Iterator[tuple[bytes, float]]:
        """Yield the pieces to send, each with the seconds to pause after it.

        Args:
            direction: `up` or `down`.
            size: their total size in bytes.
        """
        rng = random.Random(f"{self.seed} {direction} pieces")
        begin = _begin(self.seed, direction)
        sent = 0
        while sent < size:
            count = min(rng.randint(1, self.piece), size - sent)
            stalls = rng.random() < self.stalls * count / size
            yield _cut(begin + sent, count), rng.uniform(0.1, 3.0) if stalls else 0.0
            sent += count

    def digest(self, direction: str, size: int) -> bytes:
        """Return the SHA-256 of the first `size` bytes of a direction, `up` or `down`."""
        digest = hashlib.sha256()
        begin = _begin(self.seed, direction)
        for done in range(0, size, len(_BLOCK)):
            digest.update(_cut(begin + done, min(len(_BLOCK), size - done)))
        return digest.digest()


def random_plan(rng: random.Random, max_bytes: int) -> Plan:
    """Return a plan of random size, mostly sent at once, sometimes byte by byte."""
    piece = rng.choice([1, 7, 1_000, 16_384, 65_536, 300_000, 300_000])
    most = min(max_bytes, 300 * piece)
    return Plan(
        course=rng.choices(list(Course), [6, 4, 3, 2, 2])[0],
        seed=rng.getrandbits(48),
        up=_size(rng, most),
        down=_size(rng, most),
        piece=piece,
        stalls=rng.choice([0.0, 0.0, 0.0, 1.0]),
    )


def _size(rng: random.Random, most: int) -> int:
    return int(most ** rng.random()) - 1


def _begin(seed: int, direction: str) -> int:
    return random.Random(f"{seed} {direction}").randrange(len(_BLOCK))


def _cut(begin: int, count: int) -> bytes:
    at = begin % len(_BLOCK)
    data = _BLOCK[at : at + count]
    while len(data) < count:
        data += _BLOCK[: count - len(data)]
    return data
