"""The order in which several jump hosts are tried."""

import logging
from collections import Counter
from dataclasses import dataclass

import pytest

from netjumper.addressing.choices import JumpPolicy
from netjumper.bridge.upstream.balancing import (
    Failover,
    LowestLatency,
    WeightedRoundRobin,
    balancing_for,
)


@dataclass(eq=False)
class Host:
    """A jump host as a balancing sees it."""

    name: str
    first_byte: float | None = None
    is_down: bool = False

    def __repr__(self) -> str:
        return f"jump host {self.name}"


def hosts(**times: float | None) -> list[Host]:
    return [Host(name, time) for name, time in times.items()]


def names(candidates: list[Host]) -> str:
    return "".join(host.name for host in candidates)


def test_failover_uses_the_first_jump_host_that_is_not_down():
    a, b, c = candidates = hosts(a=None, b=None, c=None)
    assert names(Failover().order(candidates)) == "abc"
    a.is_down = True
    assert names(Failover().order(candidates)) == "bca"
    b.is_down = c.is_down = True
    assert names(Failover().order(candidates)) == "abc"


def test_round_robin_follows_the_weights():
    balancing, candidates = WeightedRoundRobin([3, 1]), hosts(a=None, b=None)
    assert [names(balancing.order(candidates)) for _ in range(8)] == ["ab", "ab", "ba", "ab"] * 2


def test_round_robin_with_equal_weights_takes_turns():
    balancing, candidates = WeightedRoundRobin([1, 1, 1]), hosts(a=None, b=None, c=None)
    assert "".join(balancing.order(candidates)[0].name for _ in range(6)) == "abcabc"


def test_round_robin_skips_a_jump_host_that_is_down_and_does_not_catch_up():
    balancing = WeightedRoundRobin([1, 1, 1])
    a, b, _ = candidates = hosts(a=None, b=None, c=None)
    a.is_down = True
    turns = Counter(balancing.order(candidates)[0].name for _ in range(100))
    assert turns == {"b": 50, "c": 50}
    assert balancing.order(candidates)[-1] is a
    a.is_down = False
    assert Counter(balancing.order(candidates)[0].name for _ in range(6)) == {
        "a": 2,
        "b": 2,
        "c": 2,
    }
    b.is_down = True
    assert balancing.order(candidates)[-1] is b


def test_all_jump_hosts_are_tried_if_all_are_down():
    for balancing in (Failover(), WeightedRoundRobin([1, 1]), LowestLatency()):
        candidates = hosts(a=0.1, b=0.2)
        for host in candidates:
            host.is_down = True
        assert sorted(names(balancing.order(candidates))) == ["a", "b"]


def test_lowest_latency_orders_jump_hosts_by_latency(caplog):
    caplog.set_level(logging.INFO)
    balancing, candidates = LowestLatency(), hosts(a=0.200, b=0.080, c=0.100)
    assert names(balancing.order(candidates)) == "bca"
    assert caplog.messages == ["switched to jump host b (80 ms) from jump host a (200 ms)"]


def test_lowest_latency_switches_only_to_a_clearly_faster_jump_host(caplog):
    caplog.set_level(logging.INFO)
    balancing = LowestLatency()
    a, b = candidates = hosts(a=0.100, b=0.081)
    assert names(balancing.order(candidates)) == "ab"
    assert caplog.messages == []
    b.first_byte = 0.079
    assert names(balancing.order(candidates)) == "ba"
    a.first_byte, b.first_byte = 0.079, 0.081
    assert names(balancing.order(candidates)) == "ba"


def test_lowest_latency_leaves_a_jump_host_that_is_down_at_once(caplog):
    caplog.set_level(logging.INFO)
    balancing = LowestLatency()
    a, _ = candidates = hosts(a=0.100, b=0.300)
    assert names(balancing.order(candidates)) == "ab"
    a.is_down = True
    assert names(balancing.order(candidates)) == "ba"
    assert caplog.messages == ["switched to jump host b (300 ms) from jump host a (down)"]
    a.is_down = False
    assert names(balancing.order(candidates)) == "ab"


def test_jump_host_without_measurements_is_used_if_no_other_is_up(caplog):
    caplog.set_level(logging.INFO)
    balancing = LowestLatency()
    a, b = candidates = hosts(a=None, b=None)
    assert names(balancing.order(candidates)) == "ab"
    a.is_down = True
    assert names(balancing.order(candidates)) == "ba"
    b.first_byte = 0.5
    assert names(balancing.order(candidates)) == "ba"


def test_switch_between_jump_hosts_that_are_down_is_not_logged(caplog):
    caplog.set_level(logging.INFO)
    a, b = candidates = hosts(a=0.200, b=0.080)
    a.is_down = b.is_down = True
    LowestLatency().order(candidates)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        (JumpPolicy.FIRST, Failover),
        (JumpPolicy.FASTEST, LowestLatency),
        (JumpPolicy.SPREAD, WeightedRoundRobin),
    ],
)
def test_policy_name_selects_its_balancing(which, kind):
    assert isinstance(balancing_for(which, [1]), kind)
