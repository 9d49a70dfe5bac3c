"""Admission: pending connections, evictions, bans and the limit on tunnels."""

from typing import Any

import pytest

from netjumper.addressing.address import Address
from netjumper.errors import TooManyTunnels
from netjumper.sessions import admission as admission_module
from netjumper.sessions.admission import Account, Admission, AdmissionLimits
from tests.support.clock import Clock

TARGET = Address("target.example", 443)
CONNECTOR: Any = object()


class Connection:
    """A pending connection."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.closed = False

    def reset(self) -> None:
        self.closed = True
        self._admission.remove_pending(self)


def admission(clock: Clock | None = None, **limits: Any) -> Admission:
    accounts = {"alice": Account(CONNECTOR, 2), "": Account(CONNECTOR)}
    return Admission(clock or Clock(), accounts.__getitem__, AdmissionLimits(**limits))


def waiting(it: Admission, *peers: str) -> list[Connection]:
    connections = [Connection(it) for _ in peers]
    for connection, peer in zip(connections, peers, strict=True):
        it.add_pending(connection, peer)
    return connections


def test_one_connection_too_many_evicts_the_oldest_of_the_source_with_most(caplog) -> None:
    it = admission(unauthenticated=4)
    peers = ["192.0.2.1:1", "192.0.2.9:1", "192.0.2.9:2", "192.0.2.2:1", "192.0.2.3:1"]
    assert [its.closed for its in waiting(it, *peers)] == [False, True, False, False, False]
    assert caplog.messages == [
        "4 unauthenticated connections: closed the oldest of 2 from 192.0.2.9"
    ]


def test_a_thousand_connections_of_one_source_do_not_evict_another_source() -> None:
    it = admission(unauthenticated=10)
    (user,) = waiting(it, "192.0.2.1:1")
    waiting(it, *(f"[2001:db8::{number:x}]:1" for number in range(1, 1000)))
    assert not user.closed
    assert len(it._pending) == 10


def test_among_sources_with_one_connection_each_the_oldest_is_evicted() -> None:
    it = admission(unauthenticated=2)
    assert [its.closed for its in waiting(it, "1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1")] == [
        True, False, False,
    ]  # fmt: skip


def test_connections_of_known_sources_are_not_evicted_for_unknown_sources(monkeypatch) -> None:
    monkeypatch.setattr(admission_module, "MAX_KNOWN_SOURCES", 2)
    it = admission(unauthenticated=64)
    for peer in ("192.0.2.1:1", "192.0.2.2:1", "192.0.2.1:2", "192.0.2.3:1"):
        (known,) = waiting(it, peer)
        it.authenticated(known)
    forgotten, *users = waiting(it, "192.0.2.2:2", *["192.0.2.1:3"] * 3, "192.0.2.3:3")
    waiting(it, *(f"[2001:db8:0:{number:x}::1]:1" for number in range(1000)))
    assert forgotten.closed
    assert not any(user.closed for user in users)
    assert len(it._pending) == 64


def test_a_known_source_with_more_than_its_fair_share_is_evicted_from() -> None:
    it = admission(unauthenticated=64)
    (known,) = waiting(it, "192.0.2.1:1")
    it.authenticated(known)
    crowd = waiting(it, *["192.0.2.1:2"] * 1000)
    assert [its.closed for its in waiting(it, "192.0.2.2:1")] == [False]
    unknown = waiting(it, *(f"198.51.100.{number}:1" for number in range(59)))
    assert not any(its.closed for its in unknown)
    assert sum(not its.closed for its in crowd) == 4


def test_if_all_sources_are_known_the_oldest_connection_is_evicted() -> None:
    it = admission(unauthenticated=3)
    for number in range(4):
        (known,) = waiting(it, f"192.0.2.{number}:1")
        it.authenticated(known)
    peers = [f"192.0.2.{number}:2" for number in range(4)]
    assert [its.closed for its in waiting(it, *peers)] == [True, False, False, False]
    (unknown,) = waiting(it, "198.51.100.1:1")
    assert not unknown.closed


def test_an_authenticated_connection_is_not_pending_and_leaves_no_state() -> None:
    it = admission(unauthenticated=1)
    (first,) = waiting(it, "192.0.2.1:1")
    it.authenticated(first)
    it.authenticated(first)
    it.remove_pending(first)
    waiting(it, "192.0.2.2:1")
    assert not first.closed
    assert list(it._pending_from) == ["192.0.2.2"]


def test_without_a_limit_no_pending_connection_is_evicted() -> None:
    assert not any(its.closed for its in waiting(admission(), *["192.0.2.1:1"] * 2000))


def test_failed_authentications_delay_refusals_and_then_ban_the_source(caplog) -> None:
    clock = Clock()
    it = admission(clock, auth_failures=3, ban_time=60.0)
    assert [it.auth_failed(f"192.0.2.1:{port}") for port in range(2)] == [False, True]
    assert it.is_allowed("192.0.2.1:9")
    assert caplog.messages == []
    assert it.auth_failed("192.0.2.1:3")
    assert not it.is_allowed("192.0.2.1:9")
    assert it.is_allowed("192.0.2.2:9")
    assert caplog.messages == [
        "banned 192.0.2.1 for 60 s after 3 failed authentications, last from 192.0.2.1"
    ]
    clock.advance(60.0)
    assert it.is_allowed("192.0.2.1:9")


def test_ban_resets_pending_connections_except_the_refused_one() -> None:
    it = admission(auth_failures=2)
    wrong, guess, elsewhere, proved = waiting(
        it, "192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.2.1:3"
    )
    it.authenticated(proved)
    it.auth_failed("192.0.2.1:1", wrong)
    assert not guess.closed
    it.auth_failed("192.0.2.1:1", wrong)
    assert [its.closed for its in (wrong, guess, elsewhere, proved)] == [False, True, False, False]


def test_ipv6_network_is_banned_and_the_last_address_logged(caplog) -> None:
    it = admission(auth_failures=2)
    it.auth_failed("[2001:db8::1]:1")
    it.auth_failed("[2001:db8::2]:1")
    assert not it.is_allowed("[2001:db8::3]:1")
    assert it.is_allowed("[2001:db8:0:1::3]:1")
    assert caplog.messages == [
        "banned 2001:db8::/64 for 60 s after 2 failed authentications, last from 2001:db8::2"
    ]


def test_clients_of_a_unix_socket_are_never_banned() -> None:
    it = admission(auth_failures=1)
    assert not any(it.auth_failed("unix") for _ in range(3))
    assert it.is_allowed("unix")


def test_without_bans_refusals_are_not_delayed() -> None:
    it = admission()
    assert not any(it.auth_failed("192.0.2.1:1") for _ in range(100))
    assert it.is_allowed("192.0.2.1:1")


def opened(it: Admission, client: str = "", peer: str = "192.0.2.1:1") -> Account:
    return it.open(client, peer, TARGET)


def test_the_total_limit_holds_until_a_tunnel_ends() -> None:
    it = admission(tunnels=2)
    first = opened(it)
    opened(it, peer="192.0.2.2:1")
    with pytest.raises(TooManyTunnels) as caught:
        opened(it, peer="192.0.2.3:1")
    assert str(caught.value) == (
        "dial tcp target.example:443: limit of 2 in total reached, too many tunnels"
    )
    it.close(first, "192.0.2.1:1")
    opened(it, peer="192.0.2.3:1")


def test_the_limit_per_client_counts_all_its_sources() -> None:
    it = admission()
    opened(it, "alice", "192.0.2.1:1")
    opened(it, "alice", "192.0.2.2:1")
    with pytest.raises(TooManyTunnels, match="limit of 2 per client reached"):
        opened(it, "alice", "192.0.2.3:1")
    opened(it, "")


def test_the_limit_per_source_counts_all_its_clients_but_no_unix_socket() -> None:
    it = admission(tunnels_per_source=2)
    account = opened(it, "alice", "192.0.2.1:1")
    opened(it, "", "192.0.2.1:2")
    with pytest.raises(TooManyTunnels, match="limit of 2 per address reached"):
        opened(it, "", "192.0.2.1:3")
    opened(it, "", "192.0.2.2:1")
    for _ in range(5):
        opened(it, "", "unix")
    it.close(account, "192.0.2.1:1")
    opened(it, "", "192.0.2.1:4")


def test_refused_tunnels_are_not_counted_and_ended_ones_leave_no_state() -> None:
    it = admission(tunnels=1)
    account = opened(it)
    for _ in range(3):
        with pytest.raises(TooManyTunnels):
            opened(it)
    assert (it.tunnels, account.tunnels) == (1, 1)
    it.close(account, "192.0.2.1:1")
    assert (it.tunnels, account.tunnels, list(it._tunnels)) == (0, 0, [])


def test_new_limits_hold_at_once_and_lift_all_bans() -> None:
    it = admission(tunnels=1)
    opened(it)
    it.set_limits(AdmissionLimits(tunnels=2, auth_failures=1, ban_time=5.0))
    opened(it)
    it.auth_failed("192.0.2.1:1")
    assert not it.is_allowed("192.0.2.1:1")
    it.set_limits(AdmissionLimits(auth_failures=1))
    assert it.is_allowed("192.0.2.1:1")


def test_tunnels_share_a_bandwidth_only_if_there_is_a_limit() -> None:
    clock = Clock()
    accounts = {"slow": Account(CONNECTOR, rate=100.0), "": Account(CONNECTOR)}
    it: Admission = Admission(clock, accounts.__getitem__)
    assert opened(it, "").bandwidth is None
    slow = opened(it, "slow").bandwidth
    assert slow is not None
    assert opened(it, "slow").bandwidth is slow
    slow.spend(10_000)
    assert slow.allowance() == 0
    it.set_limits(AdmissionLimits(bandwidth=100.0))
    shared = opened(it, "").bandwidth
    assert shared is not None
    assert shared.allowance() > 0
    shared.spend(10_000)
    assert shared.allowance() == 0
    clock.advance(200.0)
    assert shared.allowance() > 0
