"""Read and write PNG pictures, as far as screenshots of a browser need it."""

import struct
import zlib
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Colour = tuple[int, int, int]


def one_colour(colour: Colour) -> bytes:
    """Return a picture of a single pixel."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + bytes(colour))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@dataclass
class Picture:
    width: int
    height: int
    rows: list[bytes]
    channels: int

    def colour_at(self, x: int, y: int) -> Colour:
        red, green, blue = self.rows[y][x * self.channels :][:3]
        return red, green, blue


def read(data: bytes) -> Picture:
    """Read a colour picture of 8 bits per channel, not interlaced (PNG 3rd edition)."""
    assert data.startswith(SIGNATURE)
    position, packed, header = len(SIGNATURE), b"", b""
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        position += 12 + size
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    assert depth == 8
    assert colours in {2, 6}, "not in colour"
    assert not interlaced
    channels = 3 if colours == 2 else 4
    return Picture(width, height, _unfiltered(zlib.decompress(packed), width, channels), channels)


def _unfiltered(data: bytes, width: int, step: int) -> list[bytes]:
    """Undo the filter of each row (section 9)."""
    rows, above, size = [], bytes(width * step), width * step
    for start in range(0, len(data), size + 1):
        row = bytearray(data[start + 1 : start + 1 + size])
        kind = data[start]
        for index in range(size) if kind else ():
            left = row[index - step] if index >= step else 0
            corner = above[index - step] if index >= step else 0
            row[index] = (row[index] + _predicted(kind, left, above[index], corner)) & 255
        above = bytes(row)
        rows.append(above)
    return rows


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:  # Paeth: the value nearest to left + up - corner
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[kind]
