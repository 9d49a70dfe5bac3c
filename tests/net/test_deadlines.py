"""One timer for many waits of the same length."""

import pytest

from netjumper.net.deadlines import Deadlines
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def expired() -> list[str]:
    return []


@pytest.fixture
def deadlines(clock: Clock, expired: list[str]) -> Deadlines[str]:
    return Deadlines(clock, 10.0, expired.append)


def test_an_item_expires_when_its_time_is_over(clock, deadlines, expired):
    deadlines.add("a")
    clock.advance(9.9)
    assert expired == []
    assert "a" in deadlines
    clock.advance(0.1)
    assert expired == ["a"]
    assert "a" not in deadlines


def test_items_expire_each_at_its_own_time_in_the_order_they_came(clock, deadlines, expired):
    deadlines.add("a")
    clock.advance(4)
    deadlines.add("b")
    clock.advance(6)
    assert expired == ["a"]
    clock.advance(3.9)
    assert expired == ["a"]
    clock.advance(0.1)
    assert expired == ["a", "b"]


def test_a_removed_item_does_not_expire(clock, deadlines, expired):
    deadlines.add("a")
    deadlines.add("b")
    deadlines.remove("a")
    clock.advance(10)
    assert expired == ["b"]


def test_an_item_that_does_not_wait_can_be_removed(deadlines):
    deadlines.remove("never added")
    assert len(deadlines) == 0


def test_however_many_items_there_is_one_timer(clock, deadlines):
    for number in range(100):
        deadlines.add(f"item {number}")
    assert len(deadlines) == 100
    assert clock.timers == 1


def test_without_items_no_timer_stays_set(clock, deadlines):
    deadlines.add("a")
    deadlines.remove("a")
    clock.advance(10)
    assert clock.timers == 0


def test_an_item_added_while_the_timer_of_a_removed_one_runs_has_its_whole_time(
    clock, deadlines, expired
):
    deadlines.add("a")
    deadlines.remove("a")
    clock.advance(6)
    deadlines.add("b")
    clock.advance(9.9)
    assert expired == []
    clock.advance(0.1)
    assert expired == ["b"]


def test_item_added_again_restarts_and_delays_no_other(clock, deadlines, expired):
    deadlines.add("a")
    clock.advance(4)
    deadlines.add("b")
    clock.advance(4)
    deadlines.add("a")
    clock.advance(6)
    assert expired == ["b"]
    clock.advance(4)
    assert expired == ["b", "a"]


def test_expiry_can_cancel_another_due_timeout(clock):
    expired = []

    def expire(item: str) -> None:
        expired.append(item)
        deadlines.remove("b")

    deadlines = Deadlines(clock, 10.0, expire)
    deadlines.add("a")
    deadlines.add("b")
    clock.advance(10)
    assert expired == ["a"]


def test_expiry_can_add_an_item(clock):
    expired = []

    def expire(item: str) -> None:
        expired.append(item)
        deadlines.add(item + "'")

    deadlines = Deadlines(clock, 10.0, expire)
    deadlines.add("a")
    clock.advance(25)
    assert expired == ["a", "a'"]
    assert clock.timers == 1


def test_expiry_can_restart_another_timeout(clock):
    expired = []

    def expire(item):
        expired.append(item)
        if item == "a":
            deadlines.add("b")

    deadlines = Deadlines(clock, 10.0, expire)
    deadlines.add("a")
    deadlines.add("b")
    clock.advance(10)
    assert expired == ["a"]
    clock.advance(10)
    assert expired == ["a", "b"]


def test_failed_expiry_does_not_affect_others(clock):
    expired = []

    def expire(item):
        expired.append(item)
        if item == "a":
            raise ArithmeticError

    deadlines = Deadlines(clock, 10.0, expire)
    deadlines.add("a")
    deadlines.add("b")
    clock.advance(10)
    assert expired == ["a", "b"]
    assert [type(failure) for failure in clock.failures] == [ArithmeticError]
