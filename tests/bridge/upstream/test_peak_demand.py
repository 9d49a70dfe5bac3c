"""How many connections the busiest moment of the last minute would have needed."""

from netjumper.bridge.upstream.peak_demand import PEAK_MEMORY_S, PeakDemand


def arrivals(demand: PeakDemand, *times: float, window: float = 1.0) -> None:
    for time in times:
        demand.record(time, window)


def test_nothing_was_asked_for() -> None:
    assert PeakDemand().peak(5.0) == 0


def test_the_fullest_window_counts() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 0.1, 0.9, 5.0, 5.5, 9.0)
    assert demand.peak(9.0) == 3


def test_the_window_under_way_counts_too() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 5.0, 5.1, 5.2)
    assert demand.peak(5.2) == 3


def test_a_busy_moment_is_forgotten_after_a_while() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 0.1, 0.2, 30.0, 30.1, 50.0)
    assert demand.peak(PEAK_MEMORY_S) == 3
    assert demand.peak(PEAK_MEMORY_S + 2.0) == 2
    assert demand.peak(PEAK_MEMORY_S + 32.0) == 1
    assert demand.peak(2 * PEAK_MEMORY_S + 32.0) == 0


def test_the_last_window_is_forgotten_too() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 0.1)
    assert demand.peak(PEAK_MEMORY_S + 1.0) == 0


def test_little_is_kept_of_much() -> None:
    demand = PeakDemand()
    for number in range(100_000):
        demand.record(number / 1000, 0.1)
    assert len(demand._peaks) < 9
    assert 99 <= demand.peak(100.0) <= 101
