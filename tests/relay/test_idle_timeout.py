"""The idle timeout over many relays."""

import pytest

from netjumper.relay.ending import RelayEnd
from netjumper.relay.idle_timeout import IdleWatch
from tests.support.clock import Clock


class CountedRelay:
    """The two counts that the watch looks at, and whether it was stopped."""

    def __init__(self) -> None:
        self.bytes_up = 0
        self.bytes_down = 0
        self.stopped: list[RelayEnd] = []

    def stop(self, ending: RelayEnd) -> None:
        self.stopped.append(ending)


@pytest.fixture
def watch(clock: Clock) -> IdleWatch:
    return IdleWatch(clock, 60.0)


@pytest.fixture
def relay(watch: IdleWatch) -> CountedRelay:
    relay = CountedRelay()
    watch.add(relay)
    return relay


def test_a_relay_without_a_byte_is_ended_after_the_idle_timeout(clock, watch, relay):
    clock.advance(60)
    assert relay.stopped == []
    clock.advance(15)
    assert relay.stopped == [RelayEnd.IDLE]


@pytest.mark.parametrize("count", ["bytes_up", "bytes_down"])
def test_a_byte_in_either_direction_restarts_the_idle_timeout(clock, watch, relay, count):
    for _ in range(20):
        clock.advance(50)
        setattr(relay, count, getattr(relay, count) + 1)
    assert relay.stopped == []
    clock.advance(90)
    assert relay.stopped == [RelayEnd.IDLE]


def test_only_the_idle_relay_ends(clock, watch, relay):
    busy = CountedRelay()
    watch.add(busy)
    for _ in range(5):
        clock.advance(15)
        busy.bytes_down += 100
    assert relay.stopped == [RelayEnd.IDLE]
    assert busy.stopped == []


def test_a_relay_that_was_removed_is_not_ended(clock, watch, relay):
    watch.remove(relay)
    watch.remove(relay)
    clock.advance(1000)
    assert relay.stopped == []


def test_all_relays_share_one_timer_and_without_any_there_is_none(clock, watch, relay):
    others = [CountedRelay() for _ in range(50)]
    for other in others:
        watch.add(other)
    assert clock.timers == 1
    for other in [relay, *others]:
        watch.remove(other)
    clock.advance(15)
    assert clock.timers == 0
    watch.add(relay)
    assert clock.timers == 1
