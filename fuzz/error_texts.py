"""Error texts: those that a jump server sends about a target, and those that users see."""

import logging
from io import StringIO

import h11

from fuzz.properties import MAX_LINE_CHARACTERS, as_text, assert_one_line
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
REQUEST = b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org\r\n\r\n"


def check(data: bytes) -> None:
    """Assert the properties of the target for one input."""
    for text in (data.decode("utf-8", "replace"), as_text(data)):
        assert printable(text).isprintable()
        assert printable(printable(text)) == printable(text)
        _assert_logged(text)
    text = data[:MAX_FRAME_BYTES].decode("utf-8", "replace")
    error = dial_errors.from_text(text)
    assert type(dial_errors.from_text(str(error))) is type(error)
    assert error.reason.strip()
    _assert_one_response(error)
    _assert_transferable(dial_errors.name_not_found(text))
    _assert_transferable(dial_errors.lookup_timed_out(text))
    _assert_transferable(dial_errors.denied(str(Address(text, 443)), "denied by a rule"))
    try:
        parse_destination(text)
    except TargetError as refusal:
        _assert_transferable(refusal)


def _assert_logged(text: str) -> None:
    """Assert that a log record is one line without control characters."""
    end = AccessRecord("peer", text, text, 1, 2, 3.0, f"GET 200: {text}", True, "")
    for message in (text, end):
        record = logging.LogRecord("netjumper", logging.WARNING, "", 0, message, None, None)
        for formatter in FORMATTERS:
            line = formatter.format(record)
            assert line.isprintable(), f"{type(formatter).__name__}: {line!r}"


def _assert_one_response(error: NetjumperError) -> None:
    """Assert that an HTTP client receives one response."""
    server = HttpServerConnection()
    server.receive_data(REQUEST)
    assert isinstance(server.next_event(), h11.Request)
    server.fail(error, "www.example.org:443")
    reader = Reader(server.data_to_send())
    answer, is_whole = reader.answer(b"CONNECT")
    assert is_whole
    assert reader.is_at_end
    assert 400 <= int(answer.line[0]) < 600
    assert all(value.isascii() for _, value in answer.fields)
    assert_one_line(answer.body.decode().removesuffix("\n"))
    assert len(describe(error)) <= MAX_LINE_CHARACTERS


def _assert_transferable(error: TargetError) -> None:
    """Assert that an error fits into a frame, and has the same type on the other side."""
    sent = text_frame(str(error))
    assert len(sent) - 1 == sent[0]
    received = dial_errors.from_text(sent[1:].decode())
    assert type(received) is type(error), f"{type(error).__name__} becomes {received!r}"
