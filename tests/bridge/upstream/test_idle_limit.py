"""How long a jump server holds parked connections, learned from what became of them."""

import pytest

from netjumper.bridge.upstream.idle_limit import (
    LONGEST,
    PROBE_INTERVAL_S,
    SAFELY,
    SHORTEST,
    IdleLimit,
)

NOW = 5000.0


def test_it_is_what_is_known_at_first() -> None:
    patience = IdleLimit(8.0)
    assert patience.seconds == 8.0
    assert patience.may_probe(NOW)


def test_what_was_held_longer_is_believed_up_to_the_longest() -> None:
    patience = IdleLimit(8.0)
    for age in (16.0, 32.0, 20.0):
        patience.survived(age)
    assert patience.seconds == 32.0
    patience.survived(1000.0)
    assert patience.seconds == LONGEST
    assert not patience.may_probe(NOW)


def test_two_losses_of_like_age_are_the_servers_patience() -> None:
    patience = IdleLimit(8.0)
    patience.survived(64.0)
    patience.lost(30.0, NOW)
    assert patience.seconds == 64.0
    patience.lost(33.0, NOW + 40)
    assert patience.seconds == SAFELY * 33.0


def test_a_loss_does_not_make_it_longer() -> None:
    patience = IdleLimit(8.0)
    patience.lost(30.0, NOW)
    patience.lost(30.0, NOW + 40)
    assert patience.seconds == 8.0


def test_it_has_a_lower_end() -> None:
    patience = IdleLimit(8.0)
    patience.lost(1.1, NOW)
    patience.lost(1.1, NOW + 2)
    assert patience.seconds == SHORTEST


def test_losses_of_different_ages_are_restarts() -> None:
    patience = IdleLimit(8.0)
    patience.survived(64.0)
    for when, age in enumerate((30.0, 4.0, 50.0, 10.0)):
        patience.lost(age, NOW + 100 * when)
    assert patience.seconds == 64.0


def test_losses_at_the_same_time_are_one_restart_even_of_like_ages() -> None:
    patience = IdleLimit(8.0)
    patience.survived(64.0)
    for number in range(9):
        patience.lost(30.0 + number / 10, NOW + number / 10)
    assert patience.seconds == 64.0
    patience.lost(30.0, NOW + 31)
    assert patience.seconds == SAFELY * 30.0


def test_the_first_loss_is_alone_however_young_it_was() -> None:
    patience = IdleLimit(8.0)
    patience.lost(1.0, NOW)
    assert patience.seconds == 8.0


def test_after_a_scout_was_lost_no_other_is_sent_for_a_while() -> None:
    patience = IdleLimit(8.0)
    patience.probe_failed(NOW)
    assert patience.seconds == 8.0
    assert not patience.may_probe(NOW + PROBE_INTERVAL_S - 0.1)
    assert patience.may_probe(NOW + PROBE_INTERVAL_S)


@pytest.mark.parametrize(("age", "seconds"), [(20.0, SAFELY * 20.0), (9.0, 8.0), (100.0, 64.0)])
def test_a_silent_loss_is_believed_but_for_what_is_known(age: float, seconds: float) -> None:
    patience = IdleLimit(8.0)
    patience.survived(64.0)
    patience.blackholed(age, NOW)
    assert patience.seconds == seconds
    assert not patience.may_probe(NOW + 1)
