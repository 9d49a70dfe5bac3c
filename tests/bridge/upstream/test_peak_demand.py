"""The peak of the demand within the last minute."""

from netjumper.bridge.upstream.peak_demand import PEAK_MEMORY_S, PeakDemand


def arrivals(demand: PeakDemand, *times: float, window: float = 1.0) -> None:
    for time in times:
        demand.record(time, window)


def test_peak_is_zero_without_requests() -> None:
    assert PeakDemand().peak(5.0) == 0


def test_peak_is_the_busiest_window() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 0.1, 0.9, 5.0, 5.5, 9.0)
    assert demand.peak(9.0) == 3


def test_current_window_counts() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 5.0, 5.1, 5.2)
    assert demand.peak(5.2) == 3


def test_peak_is_forgotten_after_its_time() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 0.1, 0.2, 30.0, 30.1, 50.0)
    assert demand.peak(PEAK_MEMORY_S) == 3
    assert demand.peak(PEAK_MEMORY_S + 2.0) == 2
    assert demand.peak(PEAK_MEMORY_S + 32.0) == 1
    assert demand.peak(2 * PEAK_MEMORY_S + 32.0) == 0


def test_last_window_is_forgotten() -> None:
    demand = PeakDemand()
    arrivals(demand, 0.0, 0.1)
    assert demand.peak(PEAK_MEMORY_S + 1.0) == 0


def test_memory_is_small_for_many_requests() -> None:
    demand = PeakDemand()
    for number in range(100_000):
        demand.record(number / 1000, 0.1)
    assert len(demand._peaks) < 9
    assert 99 <= demand.peak(100.0) <= 101
