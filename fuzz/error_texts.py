"""Error texts: what a jump server reports about a target, and what the user sees of it."""

import logging
from io import StringIO

import h11

from fuzz.properties import LONGEST_LINE, as_text, hold_one_line
from fuzz.strict import Reader
from netjumper import dial_errors
from netjumper.access_log import AccessRecord, describe
from netjumper.addressing.address import Address
from netjumper.bridge.http.server_connection import HttpServerConnection
from netjumper.errors import NetjumperError, TargetError
from netjumper.logs.formatters import JournalFormatter, JsonFormatter, PlainFormatter
from netjumper.logs.terminal import RichFormatter
from netjumper.protocol.wire import MAX_FRAME_BYTES, parse_destination, text_frame
from netjumper.text import printable

FORMATTERS = (PlainFormatter(), JsonFormatter(), JournalFormatter(), RichFormatter(StringIO()))
ASKED = b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org\r\n\r\n"


def check(data: bytes) -> None:
    """Hold the properties for one input."""
    for text in (data.decode("utf-8", "replace"), as_text(data)):
        assert printable(text).isprintable()
        assert printable(printable(text)) == printable(text)
        _hold_logged(text)
    text = data[:MAX_FRAME_BYTES].decode("utf-8", "replace")
    error = dial_errors.from_text(text)
    assert type(dial_errors.from_text(str(error))) is type(error)
    assert error.reason.strip()
    _hold_answered(error)
    _hold_on_the_wire(dial_errors.name_not_found(text))
    _hold_on_the_wire(dial_errors.lookup_timed_out(text))
    _hold_on_the_wire(dial_errors.denied(Address(text, 443), "denied by a rule"))
    try:
        parse_destination(text)
    except TargetError as refusal:
        _hold_on_the_wire(refusal)


def _hold_logged(text: str) -> None:
    """Whatever is logged, it is one line, and speaks to no terminal."""
    end = AccessRecord("peer", text, text, 1, 2, 3.0, f"GET 200: {text}", failed=True)
    for message in (text, end):
        record = logging.LogRecord("netjumper", logging.WARNING, "", 0, message, None, None)
        for formatter in FORMATTERS:
            line = formatter.format(record)
            assert line.isprintable(), f"{type(formatter).__name__}: {line!r}"


def _hold_answered(error: NetjumperError) -> None:
    """An HTTP client gets one response."""
    server = HttpServerConnection()
    server.receive_data(ASKED)
    assert isinstance(server.next_event(), h11.Request)
    server.fail(error, "www.example.org:443")
    reader = Reader(server.data_to_send())
    answer, is_whole = reader.answer(b"CONNECT")
    assert is_whole
    assert reader.is_at_end
    assert 400 <= int(answer.line[0]) < 600
    assert all(value.isascii() for _, value in answer.fields)
    hold_one_line(answer.body.decode().removesuffix("\n"))
    assert len(describe(error)) <= LONGEST_LINE


def _hold_on_the_wire(error: TargetError) -> None:
    """It fits into a frame, and is of the same type on the other side."""
    sent = text_frame(str(error))
    assert len(sent) - 1 == sent[0]
    read = dial_errors.from_text(sent[1:].decode())
    assert type(read) is type(error), f"{type(error).__name__} becomes {read!r}"
