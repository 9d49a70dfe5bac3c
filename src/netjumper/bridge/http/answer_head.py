"""Prepares the head of an answer for h11, which rejects heads that clients accept.

What cannot be passed on is left out, unless the length of the body may depend on it.
"""

import re

from netjumper.bridge.http.messages import MAX_FIELDS
from netjumper.errors import TargetBroke

MAX_ANSWER_HEAD = 128 * 1024
"""Bytes in the head of an answer, however it comes."""

_EMPTY_LINES = re.compile(rb"(?:\r?\n)+")
_HEAD_END = re.compile(rb"\n\r?\n")
_TOKEN = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_FRAMING = re.compile(rb"content-?length|transfer-?encoding", re.IGNORECASE)
_STARTS = (b"HTTP/", b"ICY ")


def take_head(held: bytearray) -> bytes | None:
    """Remove the head of an answer from what was received, and return it as h11 can read it.

    Args:
        held: the bytes where an answer begins; empty lines before it are removed.

    Returns:
        The head, to the end of its empty line; None if it is not complete.

    Raises:
        TargetBroke: the bytes can never become an answer.
    """
    if lines := _EMPTY_LINES.match(held):
        del held[: lines.end()]
    start = bytes(held[:5])
    if not any(known.startswith(start[: len(known)]) for known in _STARTS) and start != b"\r":
        raise TargetBroke("the target's answer is not valid HTTP: illegal status line")
    end = _HEAD_END.search(held)
    if (end.end() if end else len(held)) > MAX_ANSWER_HEAD:
        raise TargetBroke(f"the head of the target's answer is over {MAX_ANSWER_HEAD} bytes")
    if end is None:
        return None
    head = bytes(held[: end.end()])
    del held[: end.end()]
    if head.count(b"\n") > MAX_FIELDS + 2:  # with the status line and the empty line
        raise TargetBroke(f"the target's answer has over {MAX_FIELDS} fields")
    return _cleaned(head)


def _cleaned(head: bytes) -> bytes:
    status, *lines = head.split(b"\n")
    if status.startswith(b"ICY "):  # SHOUTcast, which is HTTP/1.0 otherwise
        status = b"HTTP/1.0 " + status[4:]
    is_folded = any(line.startswith((b" ", b"\t")) for line in lines)
    kept = [status]
    codings: set[bytes] = set()
    dropped = False
    for line in lines:
        if line.startswith((b" ", b"\t")):
            if not dropped:
                kept.append(line)
            continue
        cleaned = _cleaned_field(line)
        name, _, value = (cleaned or b"").partition(b":")
        if cleaned and name.lower() == b"transfer-encoding" and not is_folded:
            coding = value.strip().lower()
            if coding == b"identity" or (coding == b"chunked" and coding in codings):
                cleaned = None
            codings.add(coding)
        dropped = cleaned is None
        if cleaned is not None:
            kept.append(cleaned)
    return b"\n".join(kept)


def _cleaned_field(line: bytes) -> bytes | None:
    """Return the line of a field with a valid name; None to leave it out."""
    name, colon, value = line.partition(b":")
    stripped = name.rstrip(b" \t")
    if not colon or (name == stripped and _TOKEN.fullmatch(name)):
        return line
    if b"\0" in line or b"\r" in name or _FRAMING.search(re.sub(rb"[^-a-zA-Z]", b"", name)):
        return line  # h11 rejects it
    if _TOKEN.fullmatch(stripped):  # RFC 9112 section 5.1: a proxy removes the blank
        return stripped + b":" + value
    return None
