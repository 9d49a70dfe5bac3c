"""What is measured of the path to a jump host."""

import pytest

from netjumper.bridge.upstream.path_stats import ENOUGH, FIRST_GUESS, LATE, SHORTEST_TIMEOUT, Path


def test_until_answers_came_the_time_for_parking_says_when_one_is_late():
    path = Path()
    assert path.late == LATE * FIRST_GUESS
    path.refill_time = 0.1
    assert path.late == LATE * 0.1


def test_an_answer_is_late_when_it_takes_clearly_longer_than_usual():
    path = Path()
    for _ in range(ENOUGH):
        path.note_answer(0.2)
    assert path.late == pytest.approx(0.25)
    path.refill_time = 0.6
    assert path.late_if_dialled == pytest.approx(0.25 + LATE * 0.6)


def test_on_a_short_path_nothing_is_late():
    path = Path()
    path.refill_time = 0.001
    assert path.late == 0
    assert path.late_if_dialled == 0


def test_a_first_byte_takes_a_round_trip_and_what_losses_cost():
    path = Path()
    assert path.first_byte is None
    path.note_connection(0.1, sent=10, retransmitted=0)
    assert path.first_byte == pytest.approx(0.1)
    for _ in range(100):
        path.note_connection(0.2, sent=10, retransmitted=1)
    assert path.first_byte == pytest.approx(0.2 + 0.1 * (0.2 + SHORTEST_TIMEOUT), rel=0.01)
