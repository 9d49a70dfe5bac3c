"""Shared bandwidth, on a test clock."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjumper.relay.bandwidth import BURST_S, MAX_QUANTUM, MIN_QUANTUM, MIN_SAVED_BYTES, Bandwidth
from tests.support.clock import Clock

KB, MB = 1000, 1_000_000
RATES = [1 * KB, 64 * KB, 2 * MB, 100 * MB, 1000 * MB]
FOREVER = 10**15


class Reader:
    """Requests bandwidth and reads what is there, as a direction of a relay does."""

    def __init__(self, clock: Clock, bandwidth: Bandwidth, *, pace: int = FOREVER) -> None:
        self._clock = clock
        self._bandwidth = bandwidth
        self._pace = pace
        self.there = 0
        self.got: list[tuple[float, int]] = []

    @property
    def total(self) -> int:
        return sum(count for _, count in self.got)

    def arrive(self, count: int = FOREVER) -> None:
        """Add so many bytes of input."""
        there, self.there = self.there, self.there + count
        if not there:
            self._is_readable()

    def take_turn(self, limit: int) -> None:
        assert limit > 0
        self._read(limit)

    def _is_readable(self) -> None:
        if allowed := self._bandwidth.allowance():
            self._read(allowed)
        else:
            self._bandwidth.wait(self)

    def _read(self, limit: int) -> None:
        count = min(limit, self.there, self._pace)
        self.there -= count
        self._bandwidth.spend(count)
        self.got.append((self._clock.time(), count))
        if self.there:  # and a loop says so again
            self._clock.call_later(0, self._is_readable)


def quantum(rate: float) -> int:
    return int(min(max(rate * 0.005, MIN_QUANTUM), MAX_QUANTUM))


def burst(rate: float) -> float:
    return max(rate * BURST_S, quantum(rate) + MIN_SAVED_BYTES)


def most_in_any_window(got: list[tuple[float, int]], rate: float) -> float:
    """Return by how much the bytes of any stretch of time were more than the rate has in it."""
    worst = excess = 0.0
    for (before, _), (now, count) in pairwise([(0.0, 0), *sorted(got)]):
        excess = max(excess - (now - before) * rate, 0.0) + count
        worst = max(worst, excess)
    return worst


# --- rate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("pace", [100, FOREVER])
def test_bulk_has_the_rate_and_at_most_one_burst_more(clock, rate, pace):
    bandwidth = Bandwidth(clock, rate)
    reader = Reader(clock, bandwidth, pace=max(pace, rate // 10_000))
    clock.advance(5)
    reader.arrive()
    clock.advance(2)
    assert rate * 2 - quantum(rate) <= reader.total <= rate * 2 + burst(rate)
    assert most_in_any_window(reader.got, rate) <= burst(rate) + 1e-3


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate >= 64 * KB])
def test_bulk_is_within_5_percent_of_the_rate_even_after_idleness(clock, rate):
    reader = Reader(clock, Bandwidth(clock, rate))
    clock.advance(60)
    reader.arrive()
    clock.advance(2)
    assert reader.total == pytest.approx(2 * rate, rel=0.05)


events = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 64, 5000, 300_000]), st.floats(0.0, 0.3)),
    max_size=40,
)


@given(
    st.sampled_from(RATES[:4]),
    st.sampled_from([*RATES[:4], None]),
    st.sampled_from([*RATES[:4], None]),
    events,
)
def test_no_period_exceeds_the_rate_and_a_burst(rate, one, two, events):
    clock = Clock()
    parent = Bandwidth(clock, rate)
    children = [Bandwidth(clock, one, parent), Bandwidth(clock, two, parent)]
    readers = [Reader(clock, children[number % 2]) for number in range(6)]
    for number, count, pause in events:
        readers[number].arrive(count)
        clock.advance(pause)
    for own, limit in ((readers, rate), (readers[::2], one), (readers[1::2], two)):
        got = [each for reader in own for each in reader.got]
        assert limit is None or most_in_any_window(got, limit) <= burst(limit) + 1e-3
    for _ in range(100):
        clock.advance(60 + sum(reader.there for reader in readers) / KB)
    assert not any(reader.there for reader in readers), "no reader is forgotten"
    assert clock.timers == 0


@pytest.mark.parametrize("none", [0, None])
def test_without_a_limit_no_direction_waits(clock, none):
    for bandwidth in (Bandwidth(clock, none), Bandwidth(clock, none, Bandwidth(clock, none))):
        for _ in range(1000):
            assert bandwidth.allowance() == MAX_QUANTUM
            bandwidth.spend(MAX_QUANTUM)
    assert clock.timers == 0


def test_the_smaller_of_two_limits_counts(clock):
    parent = Bandwidth(clock, 2 * MB)
    slow, fast = (
        Reader(clock, Bandwidth(clock, 500 * KB, parent)),
        Reader(clock, Bandwidth(clock, 50 * MB, parent)),
    )
    for reader in (slow, fast):
        reader.arrive()
    clock.advance(10)
    assert slow.total == pytest.approx(5 * MB, rel=0.02)
    assert fast.total == pytest.approx(15 * MB, rel=0.02)


# --- changed while in use -----------------------------------------------------------------


def test_a_changed_rate_holds_at_once(clock):
    bandwidth = Bandwidth(clock, 100 * MB)
    reader = Reader(clock, bandwidth)
    reader.arrive()
    clock.advance(2)
    for rate in (64 * KB, 10 * MB, 1 * MB):
        before = reader.total
        bandwidth.set_rate(rate)
        clock.advance(4)
        assert reader.total - before == pytest.approx(4 * rate, rel=0.05)
    assert clock.timers <= 2  # the bandwidth's, and the reader's own


@pytest.mark.parametrize("within", [None, 50 * MB])
def test_waiters_go_on_when_a_limit_is_lifted(clock, within):
    bandwidth = Bandwidth(clock, 1, within and Bandwidth(clock, within))
    readers = [Reader(clock, bandwidth) for _ in range(3)]
    for reader in readers:
        reader.arrive(100 * KB)
    clock.advance(1)
    assert all(reader.there for reader in readers)
    bandwidth.set_rate(None)
    clock.advance(1)
    assert not any(reader.there for reader in readers)
    assert clock.timers == 0


def test_a_new_limit_begins_with_at_most_a_burst(clock):
    bandwidth = Bandwidth(clock, None)
    bandwidth.spend(100 * MB)
    clock.advance(1000)
    bandwidth.set_rate(1 * MB)
    reader = Reader(clock, bandwidth)
    reader.arrive()
    clock.advance(1)
    assert reader.total <= 1 * MB + burst(1 * MB)
    assert reader.total == pytest.approx(1 * MB, rel=0.07)


# --- order of turns -----------------------------------------------------------------------


def test_all_busy_directions_have_the_same_share(clock):
    bandwidth = Bandwidth(clock, 2 * MB)
    readers = [Reader(clock, bandwidth) for _ in range(7)]
    for reader in readers:
        reader.arrive()
    clock.advance(0.5)
    before = [reader.total for reader in readers]
    clock.advance(5)
    shares = [reader.total - then for reader, then in zip(readers, before, strict=True)]
    assert max(shares) - min(shares) <= quantum(2 * MB)


@pytest.mark.parametrize("busy", [1, 5])
def test_a_message_waits_for_one_quantum_of_each_busy_direction(clock, busy):
    rate = 2 * MB
    bandwidth = Bandwidth(clock, rate)
    for _ in range(busy):
        Reader(clock, bandwidth).arrive()
    talker = Reader(clock, bandwidth)
    for _ in range(100):
        clock.advance(0.0313)
        talker.arrive(64)
        clock.advance((busy + 1) * (quantum(rate) / rate + 0.001))
        assert not talker.there


def test_many_messages_do_not_wait_for_one_timer_each(clock):
    rate = 2 * MB
    bandwidth = Bandwidth(clock, rate)
    Reader(clock, bandwidth).arrive()
    talkers = [Reader(clock, bandwidth) for _ in range(20)]
    clock.advance(1)
    for talker in talkers:
        talker.arrive(64)
    clock.advance(3 * (quantum(rate) / rate + 0.001))
    assert not any(talker.there for talker in talkers)


def test_many_messages_of_a_client_share_its_turn(clock):
    rate = 100 * MB
    client = Bandwidth(clock, None, Bandwidth(clock, rate))
    Reader(clock, client).arrive()
    talkers = [Reader(clock, client) for _ in range(200)]
    clock.advance(1)
    for talker in talkers:
        talker.arrive(64)
    clock.advance(3 * (quantum(rate) / rate + 0.001))
    assert not any(talker.there for talker in talkers)


def test_a_quiet_direction_does_not_wait_while_tokens_are_left(clock):
    bandwidth = Bandwidth(clock, 2 * MB)
    reader = Reader(clock, bandwidth)
    for _ in range(100):
        reader.arrive(64)
        assert not reader.there
        clock.advance(0.0001)
    assert clock.timers == 0


def test_no_direction_overtakes_the_queue(clock):
    bandwidth = Bandwidth(clock, 64 * KB)
    bandwidth.spend(64 * KB)
    first, second = Reader(clock, bandwidth), Reader(clock, bandwidth)
    first.arrive(64)
    clock.skip(10)
    second.arrive(64)
    assert (first.total, second.total) == (0, 0)
    clock.advance(0)
    assert (first.total, second.total) == (64, 64)


@pytest.mark.parametrize("limit", [None, 1.5 * MB])
@pytest.mark.parametrize("late", [0.0, 0.02])
def test_more_tunnels_do_not_give_a_client_a_larger_share(clock, limit, late):
    """A late loop loses nothing, although not all of it is shared."""
    parent = Bandwidth(clock, 2 * MB)
    many, one = (Bandwidth(clock, limit, parent) for _ in range(2))
    crowd = [Reader(clock, many) for _ in range(50)]
    single = Reader(clock, one)
    for reader in [*crowd, single]:
        reader.arrive()
    began = clock.time()
    while (seconds := clock.time() - began) < 10:
        clock.call_later(0.001, clock.skip, late)  # something else keeps it busy
        clock.advance(0.02)
    total = sum(reader.total for reader in crowd)
    assert total + single.total == pytest.approx(seconds * 2 * MB, rel=0.02)
    assert single.total == pytest.approx(seconds * 1 * MB, rel=0.3 if late else 0.02)


def test_wait_for_the_clients_limit_counts_for_the_total_too(clock):
    bandwidth = Bandwidth(clock, 64 * KB, Bandwidth(clock, 100 * MB))
    bandwidth.spend(64 * KB)
    reader = Reader(clock, bandwidth)
    reader.arrive(64)
    clock.skip(1)
    clock.advance(0)
    assert reader.total == 64


# --- waiters ------------------------------------------------------------------------------


def test_all_waiters_share_one_timer_and_none_is_left_without_waiters(clock):
    parent = Bandwidth(clock, 1 * KB)
    bandwidth = Bandwidth(clock, 1 * KB, parent)
    bandwidth.spend(100 * KB)
    readers = [Reader(clock, bandwidth) for _ in range(10)]
    for reader in readers:
        reader.arrive(64)
        assert reader in bandwidth
        assert clock.timers == 1
    for reader in readers[1:]:
        bandwidth.leave(reader)
    assert clock.timers == 1
    bandwidth.leave(readers[0])
    bandwidth.leave(readers[0])
    assert clock.timers == 0


def test_client_without_waiters_leaves_the_parents_queue(clock):
    parent = Bandwidth(clock, 1 * KB)
    parent.spend(100 * KB)
    bandwidth = Bandwidth(clock, None, parent)
    reader = Reader(clock, bandwidth)
    reader.arrive(64)
    assert bandwidth in parent
    assert clock.timers == 1
    bandwidth.leave(reader)
    assert bandwidth not in parent
    assert clock.timers == 0


def test_a_waiter_that_left_gets_no_turn(clock):
    bandwidth = Bandwidth(clock, 64 * KB)
    bandwidth.spend(64 * KB)
    gone, stays = Reader(clock, bandwidth), Reader(clock, bandwidth)
    gone.arrive(64)
    stays.arrive(64)
    bandwidth.leave(gone)
    clock.advance(2)
    assert (gone.total, stays.total) == (0, 64)


def test_a_turn_can_end_the_wait_of_other_directions(clock):
    """A reset of one direction of a relay ends the wait of the other."""
    bandwidth = Bandwidth(clock, 64 * KB)
    others = [Reader(clock, bandwidth) for _ in range(3)]

    class RelayEnd(Reader):
        def take_turn(self, limit: int) -> None:
            for other in others:
                bandwidth.leave(other)

    bandwidth.spend(64 * KB)
    RelayEnd(clock, bandwidth).arrive(1)
    for other in others:
        other.arrive(64)
    clock.advance(10)
    assert not clock.failures
    assert not any(other.got for other in others)
    assert clock.timers == 0


@pytest.mark.parametrize("of_all", [None, 100 * MB])
def test_waiter_gets_no_second_turn_in_the_same_round(clock, of_all):
    """A TLS endpoint is read again at once if it holds decrypted bytes."""
    bandwidth = Bandwidth(clock, 2 * MB, of_all and Bandwidth(clock, of_all))
    turns: list[float] = []

    class Again(Reader):
        def take_turn(self, limit: int) -> None:
            turns.append(clock.time())
            bandwidth.spend(1)
            bandwidth.wait(self)

    bandwidth.wait(Again(clock, bandwidth))
    clock.advance(1)
    assert len(turns) > 10
    assert all(one < other for one, other in pairwise(turns))


@pytest.mark.parametrize("of_all", [None, 100 * MB])
def test_a_waiter_that_fails_in_its_turn_does_not_block_others(clock, of_all):
    bandwidth = Bandwidth(clock, 64 * KB, of_all and Bandwidth(clock, of_all))
    bandwidth.spend(64 * KB)

    class Broken(Reader):
        def take_turn(self, limit: int) -> None:
            raise ValueError

    Broken(clock, bandwidth).arrive(1)
    other = Reader(clock, bandwidth)
    other.arrive(64)
    clock.advance(10)
    assert [type(it) for it in clock.failures] == [ValueError]
    assert other.total == 64
    assert clock.timers == 0
