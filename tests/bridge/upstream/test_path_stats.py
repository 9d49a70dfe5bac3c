"""What is measured of the path to a jump host."""

import pytest

from netjumper.bridge.upstream.path_stats import (
    HEDGE_FACTOR,
    INITIAL_REFILL_S,
    MIN_RETRANSMIT_S,
    UPDATE_EVERY,
    PathStats,
)


def test_until_answers_came_the_time_for_parking_says_when_one_is_late():
    path = PathStats()
    assert path.hedge_delay == HEDGE_FACTOR * INITIAL_REFILL_S
    path.refill_time = 0.1
    assert path.hedge_delay == HEDGE_FACTOR * 0.1


def test_an_answer_is_late_when_it_takes_clearly_longer_than_usual():
    path = PathStats()
    for _ in range(UPDATE_EVERY):
        path.record_answer(0.2)
    assert path.hedge_delay == pytest.approx(0.25)
    path.refill_time = 0.6
    assert path.cold_hedge_delay == pytest.approx(0.25 + HEDGE_FACTOR * 0.6)


def test_on_a_short_path_nothing_is_late():
    path = PathStats()
    path.refill_time = 0.001
    assert path.hedge_delay == 0
    assert path.cold_hedge_delay == 0


def test_a_first_byte_takes_a_round_trip_and_what_losses_cost():
    path = PathStats()
    assert path.first_byte is None
    path.record_connection(0.1, sent=10, retransmitted=0)
    assert path.first_byte == pytest.approx(0.1)
    for _ in range(100):
        path.record_connection(0.2, sent=10, retransmitted=1)
    assert path.first_byte == pytest.approx(0.2 + 0.1 * (0.2 + MIN_RETRANSMIT_S), rel=0.01)
