"""How long a jump server holds parked connections, learned from what became of them."""

import pytest

from netjumper.bridge.upstream.idle_limit import (
    MAX_IDLE_S,
    MIN_IDLE_S,
    PROBE_INTERVAL_S,
    SAFETY_FACTOR,
    IdleLimit,
)

NOW = 5000.0


def test_it_is_what_is_known_at_first() -> None:
    limit = IdleLimit(8.0)
    assert limit.seconds == 8.0
    assert limit.may_probe(NOW)


def test_what_was_held_longer_is_believed_up_to_the_longest() -> None:
    limit = IdleLimit(8.0)
    for age in (16.0, 32.0, 20.0):
        limit.record_survival(age)
    assert limit.seconds == 32.0
    limit.record_survival(1000.0)
    assert limit.seconds == MAX_IDLE_S
    assert not limit.may_probe(NOW)


def test_two_losses_of_like_age_are_the_servers_patience() -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    limit.record_loss(30.0, NOW)
    assert limit.seconds == 64.0
    limit.record_loss(33.0, NOW + 40)
    assert limit.seconds == SAFETY_FACTOR * 33.0


def test_a_loss_does_not_make_it_longer() -> None:
    limit = IdleLimit(8.0)
    limit.record_loss(30.0, NOW)
    limit.record_loss(30.0, NOW + 40)
    assert limit.seconds == 8.0


def test_it_has_a_lower_end() -> None:
    limit = IdleLimit(8.0)
    limit.record_loss(1.1, NOW)
    limit.record_loss(1.1, NOW + 2)
    assert limit.seconds == MIN_IDLE_S


def test_losses_of_different_ages_are_restarts() -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    for when, age in enumerate((30.0, 4.0, 50.0, 10.0)):
        limit.record_loss(age, NOW + 100 * when)
    assert limit.seconds == 64.0


def test_losses_at_the_same_time_are_one_restart_even_of_like_ages() -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    for number in range(9):
        limit.record_loss(30.0 + number / 10, NOW + number / 10)
    assert limit.seconds == 64.0
    limit.record_loss(30.0, NOW + 31)
    assert limit.seconds == SAFETY_FACTOR * 30.0


def test_the_first_loss_is_alone_however_young_it_was() -> None:
    limit = IdleLimit(8.0)
    limit.record_loss(1.0, NOW)
    assert limit.seconds == 8.0


def test_after_a_scout_was_lost_no_other_is_sent_for_a_while() -> None:
    limit = IdleLimit(8.0)
    limit.record_probe_failure(NOW)
    assert limit.seconds == 8.0
    assert not limit.may_probe(NOW + PROBE_INTERVAL_S - 0.1)
    assert limit.may_probe(NOW + PROBE_INTERVAL_S)


@pytest.mark.parametrize(
    ("age", "seconds"), [(20.0, SAFETY_FACTOR * 20.0), (9.0, 8.0), (100.0, 64.0)]
)
def test_a_silent_loss_is_believed_but_for_what_is_known(age: float, seconds: float) -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    limit.record_blackhole(age, NOW)
    assert limit.seconds == seconds
    assert not limit.may_probe(NOW + 1)
