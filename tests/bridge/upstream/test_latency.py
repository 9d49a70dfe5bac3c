"""How long answers usually take."""

import pytest

from netjumper.bridge.upstream.path_stats import MAX_SAMPLES, UPDATE_EVERY, Latency


def latency_of(*answers: float) -> Latency:
    latency = Latency()
    for seconds in answers:
        latency.record(seconds)
    return latency


def test_nothing_is_said_until_there_were_enough_answers() -> None:
    latency = latency_of(*[0.2] * (UPDATE_EVERY - 1))
    assert latency.p95 is None
    latency.record(0.2)
    assert latency.p95 == 0.2


@pytest.mark.parametrize("slow", [0, 4, 6])
def test_one_answer_in_twenty_may_be_slow(slow: int) -> None:
    latency = latency_of(*[3.0] * slow, *[0.2] * (MAX_SAMPLES - slow))
    assert latency.p95 == 0.2


def test_more_than_that_is_usual() -> None:
    assert latency_of(*[3.0] * 7, *[0.2] * (MAX_SAMPLES - 7)).p95 == 3.0


def test_answers_of_long_ago_are_forgotten() -> None:
    assert latency_of(*[3.0] * MAX_SAMPLES, *[0.2] * MAX_SAMPLES).p95 == 0.2


def test_it_looks_at_them_now_and_then_only() -> None:
    latency = latency_of(*[0.2] * UPDATE_EVERY, *[3.0] * (UPDATE_EVERY - 1))
    assert latency.p95 == 0.2
    latency.record(3.0)
    assert latency.p95 == 3.0
