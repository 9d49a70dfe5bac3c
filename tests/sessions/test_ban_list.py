"""Failed authentications per source: counted, banned for a while, forgotten."""

from netjumper.sessions import ban_list
from netjumper.sessions.ban_list import BAN_MEMORY_S, MAX_BAN_RECORDS, MAX_BAN_S, BanList


def test_enough_failures_ban_their_source_and_no_other() -> None:
    it = BanList(3, 60.0)
    assert [it.record_failure("a", now) for now in (0.0, 1.0, 2.0)] == [0.0, 0.0, 60.0]
    assert it.is_banned("a", 2.0)
    assert it.is_banned("a", 61.9)
    assert not it.is_banned("a", 62.0)
    assert not it.is_banned("b", 2.0)


def test_each_ban_is_twice_as_long_up_to_ten_minutes() -> None:
    it = BanList(1, 60.0)
    now, times = 0.0, []
    for _ in range(6):
        times.append(it.record_failure("a", now))
        now += times[-1]
    assert times == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]


def test_a_first_ban_of_more_than_ten_minutes_keeps_its_length() -> None:
    it = BanList(1, 2 * MAX_BAN_S)
    assert it.record_failure("a", 0.0) == 2 * MAX_BAN_S
    assert it.is_banned("a", 2 * MAX_BAN_S - 1)


def test_a_failure_is_forgotten_after_an_hour() -> None:
    it = BanList(2, 60.0)
    it.record_failure("a", 0.0)
    assert it.has_recent_failure("a", BAN_MEMORY_S)
    assert not it.has_recent_failure("a", BAN_MEMORY_S + 1)
    assert it.record_failure("a", BAN_MEMORY_S + 1) == 0.0
    assert it.record_failure("a", BAN_MEMORY_S + 2) == 60.0


def test_too_few_failures_within_an_hour_never_ban() -> None:
    it = BanList(8, 60.0)
    assert not any(it.record_failure("a", 600.0 * number) for number in range(1000))
    assert [it.record_failure("a", 600_600.0 + number) for number in range(8)].count(60.0) == 1


def test_zero_failures_as_the_limit_bans_no_source() -> None:
    it = BanList(0, 60.0)
    assert [it.record_failure("a", 0.0) for _ in range(100)] == [0.0] * 100
    assert it.has_recent_failure("a", 0.0)


def test_the_number_of_records_is_limited_and_the_latest_failures_stay(monkeypatch) -> None:
    monkeypatch.setattr(ban_list, "MAX_BAN_RECORDS", 3)
    assert MAX_BAN_RECORDS == 4096
    it = BanList(10, 60.0)
    for source in ("a", "b", "c", "a", "d"):
        it.record_failure(source, 0.0)
    assert [source for source in "abcd" if it.has_recent_failure(source, 0.0)] == ["a", "c", "d"]
