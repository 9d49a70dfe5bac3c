"""Medians, spreads, and ratios within a round; saving and loading of runs."""

import pytest

from bench.samples import Run, Spread
from bench.summary import format_number, summary


def a_run() -> Run:
    return Run("loopback", "make bench", {}, {}, {"netjumper": 1, "ssh": 1}, ["netjumper"])


def test_spread_has_median_minimum_and_maximum() -> None:
    assert Spread.of([5.0, 1.0, 3.0]) == Spread(3.0, 1.0, 5.0)


def test_ratio_compares_values_of_the_same_round() -> None:
    run = a_run()
    # A machine that is ten times slower in the second round changes no ratio.
    for round_number, (value, divisor) in enumerate([(20.0, 10.0), (2.0, 1.0), (30.0, 10.0)]):
        run.add("netjumper", "speed", round_number, value)
        run.add("ssh", "speed", round_number, divisor)
    assert run.ratio("netjumper", "ssh", "speed") == 2.0


def test_ratio_needs_a_common_round() -> None:
    run = a_run()
    run.add("netjumper", "speed", 0, 1.0)
    run.add("ssh", "speed", 1, 1.0)
    assert run.ratio("netjumper", "ssh", "speed") is None


def test_ratio_ignores_zero_divisors() -> None:
    run = a_run()
    run.add("netjumper", "speed", 0, 1.0)
    run.add("ssh", "speed", 0, 0.0)
    assert run.ratio("netjumper", "ssh", "speed") is None


def test_unmeasured_figure_has_no_spread() -> None:
    assert a_run().spread("netjumper", "speed") is None


def test_saved_results_are_loaded(tmp_path) -> None:
    run = a_run()
    run.add("netjumper", "speed", 0, 1.5)
    run.problems.append("ssh: hangs")
    file = tmp_path / "results" / "bench.json"
    run.save(file)
    assert Run.load(file) == run
    assert [each.name for each in file.parent.iterdir()] == ["bench.json"]


def test_merged_runs_keep_their_rounds_apart() -> None:
    first, second, empty = (
        Run("wan", "make bench-wan", {}, {}, competitors, ["netjumper"])
        for competitors in (
            {"netjumper": 1, "ssh": 1},
            {"other": 2, "netjumper": 1},
            {"netjumper": 1},
        )
    )
    for round_number, value in enumerate((1.0, 3.0)):
        first.add("netjumper", "speed", round_number, value)
    second.add("netjumper", "speed", 0, 8.0)
    second.add("other", "speed", 0, 2.0)
    second.problems.append("other: hangs")
    merged = Run.merged([first, empty, second])
    assert merged.values("netjumper", "speed") == {0: 1.0, 1: 3.0, 2: 8.0}
    assert merged.ratio("netjumper", "other", "speed") == 4.0
    assert merged.competitors == {"netjumper": 1, "ssh": 1, "other": 2}
    assert list(merged.competitors) == ["netjumper", "ssh", "other"]
    assert merged.netjumper_rows == ["netjumper"]
    assert merged.problems == ["other: hangs"]
    assert first.competitors == {"netjumper": 1, "ssh": 1}


@pytest.mark.parametrize("text", ['{"kind": "loopback"}', '{"figures": [{"a": 1}]}', "{"])
def test_file_without_results_is_refused(tmp_path, text) -> None:
    file = tmp_path / "bench.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"bench\.json has no results of a benchmark"):
        Run.load(file)


def test_summary_has_all_competitors_and_problems() -> None:
    run = a_run()
    run.add("netjumper", "speed", 0, 12.34)
    run.problems.append("ssh: hangs")
    assert summary(run).splitlines() == [
        "       netjumper  ssh",
        "speed       12.3    -",
        "ssh: hangs",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (9.99, "9.99"), (12.34, "12.3"), (12345.6, "12,346")]
)
def test_numbers_have_three_significant_digits(value, text) -> None:
    assert format_number(value) == text
