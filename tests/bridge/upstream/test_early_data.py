"""Targets that are expected to be reached."""

from netjumper.addressing.address import Address
from netjumper.addressing.choices import EarlyData
from netjumper.bridge.upstream.early_data import KNOWN_TARGET_S, MAX_KNOWN_TARGETS, KnownTargets

TARGET = Address("target.example", 443)


def test_only_a_reached_target_is_expected_again() -> None:
    known = KnownTargets(EarlyData.KNOWN)
    assert not known.expects(TARGET, 1.0)
    known.record_success(TARGET, 1.0)
    assert known.expects(TARGET, 1.0)
    assert not known.expects(Address(TARGET.host, 80), 1.0)


def test_always_and_never_expect_all_targets_or_none() -> None:
    always, never = KnownTargets(EarlyData.ALWAYS), KnownTargets(EarlyData.NEVER)
    for known in (always, never):
        known.record_success(Address("another.example", 1), 0.0)
    assert always.expects(TARGET, 1.0)
    always.record_failure(TARGET)
    assert always.expects(TARGET, 1.0)
    never.record_success(TARGET, 1.0)
    assert not never.expects(TARGET, 1.0)


def test_target_is_forgotten_after_its_time_since_the_last_success() -> None:
    known = KnownTargets(EarlyData.KNOWN)
    known.record_success(TARGET, 100.0)
    assert known.expects(TARGET, 99.9 + KNOWN_TARGET_S)
    assert not known.expects(TARGET, 100.0 + KNOWN_TARGET_S)
    known.record_success(TARGET, 200.0)
    assert known.expects(TARGET, 199.9 + KNOWN_TARGET_S)


def test_failed_target_is_forgotten() -> None:
    known = KnownTargets(EarlyData.KNOWN)
    known.record_failure(TARGET)
    known.record_success(TARGET, 1.0)
    known.record_failure(TARGET)
    assert not known.expects(TARGET, 1.0)


def test_number_of_known_targets_is_limited_and_the_oldest_is_dropped() -> None:
    known = KnownTargets(EarlyData.KNOWN)
    targets = [Address("target.example", port) for port in range(1, MAX_KNOWN_TARGETS + 2)]
    for target in [*targets[:-1], targets[0], targets[-1]]:
        known.record_success(target, 1.0)
    assert len(known._until) == MAX_KNOWN_TARGETS
    assert known.expects(targets[0], 1.0)  # it was reached again
    assert not known.expects(targets[1], 1.0)
    assert known.expects(targets[-1], 1.0)
