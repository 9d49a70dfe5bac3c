"""Parked sessions: how many each client can have, and for how long."""

from netjumper.sessions.parked_sessions import ParkedSessions
from tests.support.clock import Clock


def clients(clock: Clock, expired: list[str], most: int = 2) -> ParkedSessions[str]:
    return ParkedSessions(clock, 300.0, most, expired.append)


def test_each_client_may_have_so_many_whatever_its_ports() -> None:
    parked = clients(Clock(), [])
    assert parked.add("a", "192.0.2.1:1000")
    assert parked.add("b", "192.0.2.1:1001")
    assert not parked.add("c", "192.0.2.1:1002")
    assert parked.add("d", "[2001:db8::1]:1000")
    assert parked.add("e", "[2001:db8:0:1::2]:1000")
    assert parked.add("f", "unix")
    assert len(parked) == 5
    assert "a" in parked
    assert "c" not in parked


def test_finished_lookup_frees_its_place() -> None:
    parked = clients(Clock(), [], most=1)
    assert parked.add("a", "192.0.2.1:1000")
    parked.remove("a")
    parked.remove("a")
    parked.remove("never there")
    assert not parked._count
    assert parked.add("b", "192.0.2.1:1001")
    assert not parked.add("c", "192.0.2.1:1002")


def test_overdue_wait_is_reported() -> None:
    clock, expired = Clock(), list[str]()
    parked = clients(clock, expired)
    parked.add("a", "192.0.2.1:1000")
    parked.add("b", "192.0.2.1:1001")
    clock.advance(299.0)
    parked.remove("b")
    assert not expired
    clock.advance(2.0)
    assert expired == ["a"]


def test_limit_of_zero_parks_no_client() -> None:
    assert not clients(Clock(), [], most=0).add("a", "192.0.2.1:1000")
