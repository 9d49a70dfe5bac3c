"""What an endpoint tells of its connection, and bytes that leave together."""

import asyncio
import socket
import sys

import pytest

from tests.support.peers import eventually, nothing_to_receive, receive, reset, send


async def test_connection_has_no_input_until_data_comes_and_checking_takes_nothing(pair):
    endpoint, theirs = pair
    assert endpoint.has_no_input
    await send(theirs, b"hello")
    await eventually(lambda: not endpoint.has_no_input)
    assert endpoint.recv(10) == b"hello"
    assert endpoint.has_no_input


@pytest.mark.parametrize("end", [socket.socket.close, reset])
async def test_end_of_stream_counts_as_input(pair, end):
    endpoint, theirs = pair
    end(theirs)
    await eventually(lambda: not endpoint.has_no_input)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_the_other_end_has_an_address_as_long_as_there_is_a_connection(pair):
    endpoint, theirs = pair
    assert endpoint.peer == theirs.getsockname()
    reset(theirs)
    await eventually(lambda: endpoint.peer is None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has MSG_MORE")
async def test_corked_data_leaves_with_the_next(pair):
    endpoint, theirs = pair
    assert endpoint.send_with_next(b"\0") == 1
    for _ in range(5):
        await asyncio.sleep(0)
    assert nothing_to_receive(theirs)
    endpoint.send(b"next")
    assert await receive(theirs) == b"\0next"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has MSG_MORE")
async def test_corked_data_can_be_pushed(pair):
    endpoint, theirs = pair
    endpoint.send_with_next(b"\0")
    assert nothing_to_receive(theirs)
    endpoint.push()
    assert not nothing_to_receive(theirs)  # on loopback what leaves is there


async def test_corked_data_without_room_is_not_taken(pair):
    endpoint, _ = pair
    while endpoint.send(bytes(65536)):
        pass
    assert endpoint.send_with_next(b"\0") == 0


async def test_a_push_after_the_end_is_nothing(pair):
    endpoint, theirs = pair
    reset(theirs)
    await eventually(lambda: endpoint.is_lost)
    endpoint.push()
    endpoint.close()
    endpoint.push()


async def test_at_eof_takes_no_data(pair):
    endpoint, theirs = pair
    assert not endpoint.at_eof()
    await send(theirs, b"hello")
    theirs.shutdown(socket.SHUT_WR)
    await eventually(lambda: not endpoint.has_no_input)
    assert not endpoint.at_eof()
    assert endpoint.recv(10) == b"hello"
    await eventually(endpoint.at_eof)
    assert endpoint.recv(10) == b""


async def test_reset_is_not_eof(pair):
    endpoint, theirs = pair
    reset(theirs)
    await eventually(lambda: endpoint.is_lost)
    with pytest.raises(ConnectionResetError):
        endpoint.at_eof()
