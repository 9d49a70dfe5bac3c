"""The idle limit of a jump server, learned from lost connections."""

import pytest

from netjumper.bridge.upstream.idle_limit import (
    MAX_IDLE_S,
    MIN_IDLE_S,
    PROBE_INTERVAL_S,
    SAFETY_FACTOR,
    IdleLimit,
)

NOW = 5000.0


def test_limit_is_the_known_one_at_first() -> None:
    limit = IdleLimit(8.0)
    assert limit.seconds == 8.0
    assert limit.may_probe(NOW)


def test_survival_raises_the_limit_up_to_the_maximum() -> None:
    limit = IdleLimit(8.0)
    for age in (16.0, 32.0, 20.0):
        limit.record_survival(age)
    assert limit.seconds == 32.0
    limit.record_survival(1000.0)
    assert limit.seconds == MAX_IDLE_S
    assert not limit.may_probe(NOW)


def test_two_losses_of_similar_age_lower_the_limit() -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    limit.record_loss(30.0, NOW)
    assert limit.seconds == 64.0
    limit.record_loss(33.0, NOW + 40)
    assert limit.seconds == SAFETY_FACTOR * 33.0


def test_losses_never_raise_the_limit() -> None:
    limit = IdleLimit(8.0)
    limit.record_loss(30.0, NOW)
    limit.record_loss(30.0, NOW + 40)
    assert limit.seconds == 8.0


def test_limit_has_a_minimum() -> None:
    limit = IdleLimit(8.0)
    limit.record_loss(1.1, NOW)
    limit.record_loss(1.1, NOW + 2)
    assert limit.seconds == MIN_IDLE_S


def test_losses_of_different_ages_change_nothing() -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    for when, age in enumerate((30.0, 4.0, 50.0, 10.0)):
        limit.record_loss(age, NOW + 100 * when)
    assert limit.seconds == 64.0


def test_losses_at_the_same_time_count_as_one_event() -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    for number in range(9):
        limit.record_loss(30.0 + number / 10, NOW + number / 10)
    assert limit.seconds == 64.0
    limit.record_loss(30.0, NOW + 31)
    assert limit.seconds == SAFETY_FACTOR * 30.0


def test_first_loss_alone_changes_nothing() -> None:
    limit = IdleLimit(8.0)
    limit.record_loss(1.0, NOW)
    assert limit.seconds == 8.0


def test_probe_failure_delays_the_next_probe() -> None:
    limit = IdleLimit(8.0)
    limit.record_probe_failure(NOW)
    assert limit.seconds == 8.0
    assert not limit.may_probe(NOW + PROBE_INTERVAL_S - 0.1)
    assert limit.may_probe(NOW + PROBE_INTERVAL_S)


@pytest.mark.parametrize(
    ("age", "seconds"), [(20.0, SAFETY_FACTOR * 20.0), (9.0, 8.0), (100.0, 64.0)]
)
def test_blackhole_lowers_the_limit_down_to_the_initial_one(age: float, seconds: float) -> None:
    limit = IdleLimit(8.0)
    limit.record_survival(64.0)
    limit.record_blackhole(age, NOW)
    assert limit.seconds == seconds
    assert not limit.may_probe(NOW + 1)
