"""Measurements of the path to a jump host."""

import pytest

from netjumper.bridge.upstream.path_stats import (
    HEDGE_FACTOR,
    INITIAL_REFILL_S,
    MIN_RETRANSMIT_S,
    UPDATE_EVERY,
    PathStats,
)


def test_hedge_delay_follows_the_refill_time_before_the_first_answers():
    path = PathStats()
    assert path.hedge_delay == HEDGE_FACTOR * INITIAL_REFILL_S
    path.refill_time = 0.1
    assert path.hedge_delay == HEDGE_FACTOR * 0.1


def test_hedge_delay_is_clearly_longer_than_the_usual_answer():
    path = PathStats()
    for _ in range(UPDATE_EVERY):
        path.record_answer(0.2)
    assert path.hedge_delay == pytest.approx(0.25)
    path.refill_time = 0.6
    assert path.cold_hedge_delay == pytest.approx(0.25 + HEDGE_FACTOR * 0.6)


def test_hedge_delay_is_zero_on_a_short_path():
    path = PathStats()
    path.refill_time = 0.001
    assert path.hedge_delay == 0
    assert path.cold_hedge_delay == 0


def test_first_byte_is_a_round_trip_plus_the_cost_of_losses():
    path = PathStats()
    assert path.first_byte is None
    path.record_connection(0.1, sent=10, retransmitted=0)
    assert path.first_byte == pytest.approx(0.1)
    for _ in range(100):
        path.record_connection(0.2, sent=10, retransmitted=1)
    assert path.first_byte == pytest.approx(0.2 + 0.1 * (0.2 + MIN_RETRANSMIT_S), rel=0.01)
