"""The distribution of answer times."""

import pytest

from netjumper.bridge.upstream.path_stats import MAX_SAMPLES, UPDATE_EVERY, Latency


def latency_of(*answers: float) -> Latency:
    latency = Latency()
    for seconds in answers:
        latency.record(seconds)
    return latency


def test_percentile_is_unknown_until_there_are_enough_answers() -> None:
    latency = latency_of(*[0.2] * (UPDATE_EVERY - 1))
    assert latency.p95 is None
    latency.record(0.2)
    assert latency.p95 == 0.2


@pytest.mark.parametrize("slow", [0, 4, 6])
def test_one_slow_answer_in_twenty_does_not_change_the_percentile(slow: int) -> None:
    latency = latency_of(*[3.0] * slow, *[0.2] * (MAX_SAMPLES - slow))
    assert latency.p95 == 0.2


def test_more_slow_answers_raise_the_percentile() -> None:
    assert latency_of(*[3.0] * 7, *[0.2] * (MAX_SAMPLES - 7)).p95 == 3.0


def test_old_answers_are_forgotten() -> None:
    assert latency_of(*[3.0] * MAX_SAMPLES, *[0.2] * MAX_SAMPLES).p95 == 0.2


def test_percentile_is_computed_only_now_and_then() -> None:
    latency = latency_of(*[0.2] * UPDATE_EVERY, *[3.0] * (UPDATE_EVERY - 1))
    assert latency.p95 == 0.2
    latency.record(3.0)
    assert latency.p95 == 3.0
