"""A jump server that sends a challenge again."""

import pytest

from netjumper import Jumper
from netjumper.addressing.address import Address
from netjumper.client import challenges
from netjumper.client.challenges import ChallengeHistory
from tests.support.jumpers import REQUEST, TARGET, connect
from tests.support.peers import serving
from tests.support.scripted_peer import CHALLENGE, Step, scripted
from tests.support.services import SECRET


@pytest.mark.parametrize(("challenge", "count"), [(CHALLENGE, 1), (Step.CHALLENGE, 0)])
@pytest.mark.parametrize("opened", [connect, Jumper.open_socket])
async def test_library_warns_once_of_a_repeated_challenge(opened, challenge, count, caplog):
    async with serving(scripted(challenge, REQUEST, b"\0\0")) as jump:
        jumper = Jumper(str(jump), SECRET)
        for _ in range(3):
            (await opened(jumper, TARGET)).close()
    repeated = [it for it in caplog.messages if "it sent the same challenge twice" in it]
    assert len(repeated) == count


def test_limited_number_of_challenges_is_remembered(monkeypatch, caplog):
    monkeypatch.setattr(challenges, "MAX_KNOWN_CHALLENGES", 2)
    history = ChallengeHistory(Address("home.example", 9527))
    for challenge in (b"1", b"2", b"3", b"1"):
        history.record(challenge)
    assert not caplog.messages
    history.record(b"3")
    history.record(b"3")
    (message,) = caplog.messages
    assert message.startswith("jump host home.example:9527: it sent the same challenge twice")
