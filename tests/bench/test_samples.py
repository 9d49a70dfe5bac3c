"""Figures: medians, spreads, ratios within a round; what is written is read again."""

import pytest

from bench.samples import Run, Spread
from bench.summary import number, summary


def a_run() -> Run:
    return Run("loopback", "make bench", {}, {}, {"ours": 1, "theirs": 1}, ["ours"])


def test_a_spread_has_the_median_the_least_and_the_most() -> None:
    assert Spread.of([5.0, 1.0, 3.0]) == Spread(3.0, 1.0, 5.0)


def test_a_ratio_compares_each_round_with_itself() -> None:
    run = a_run()
    # A machine that is ten times slower in the second round changes no ratio.
    for number_of_round, (ours, theirs) in enumerate([(20.0, 10.0), (2.0, 1.0), (30.0, 10.0)]):
        run.add("ours", "speed", number_of_round, ours)
        run.add("theirs", "speed", number_of_round, theirs)
    assert run.ratio("ours", "theirs", "speed") == 2.0


def test_rounds_that_only_one_of_them_has_make_no_ratio() -> None:
    run = a_run()
    run.add("ours", "speed", 0, 1.0)
    run.add("theirs", "speed", 1, 1.0)
    assert run.ratio("ours", "theirs", "speed") is None


def test_nothing_is_divided_by_zero() -> None:
    run = a_run()
    run.add("ours", "speed", 0, 1.0)
    run.add("theirs", "speed", 0, 0.0)
    assert run.ratio("ours", "theirs", "speed") is None


def test_unmeasured_figure_has_no_spread() -> None:
    assert a_run().spread("ours", "speed") is None


def test_saved_results_are_loaded(tmp_path) -> None:
    run = a_run()
    run.add("ours", "speed", 0, 1.5)
    run.problems.append("theirs: hangs")
    file = tmp_path / "results" / "bench.json"
    run.save(file)
    assert Run.load(file) == run
    assert [each.name for each in file.parent.iterdir()] == ["bench.json"]


def test_runs_are_merged_and_rounds_stay_apart() -> None:
    first, second, empty = (
        Run("wan", "make bench-wan", {}, {}, competitors, ["ours"])
        for competitors in ({"ours": 1, "theirs": 1}, {"other": 2, "ours": 1}, {"ours": 1})
    )
    for number_of_round, value in enumerate((1.0, 3.0)):
        first.add("ours", "speed", number_of_round, value)
    second.add("ours", "speed", 0, 8.0)
    second.add("other", "speed", 0, 2.0)
    second.problems.append("other: hangs")
    merged = Run.merged([first, empty, second])
    assert merged.values("ours", "speed") == {0: 1.0, 1: 3.0, 2: 8.0}
    assert merged.ratio("ours", "other", "speed") == 4.0
    assert merged.competitors == {"ours": 1, "theirs": 1, "other": 2}
    assert list(merged.competitors) == ["ours", "theirs", "other"]
    assert merged.ours == ["ours"]
    assert merged.problems == ["other: hangs"]
    assert first.competitors == {"ours": 1, "theirs": 1}


@pytest.mark.parametrize("text", ['{"kind": "loopback"}', '{"figures": [{"a": 1}]}', "{"])
def test_file_without_results_is_refused(tmp_path, text) -> None:
    file = tmp_path / "bench.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"bench\.json is no result of a benchmark"):
        Run.load(file)


def test_the_summary_has_a_column_for_each_peer_and_the_problems() -> None:
    run = a_run()
    run.add("ours", "speed", 0, 12.34)
    run.problems.append("theirs: hangs")
    assert summary(run).splitlines() == [
        "       ours  theirs",
        "speed  12.3       -",
        "theirs: hangs",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (9.99, "9.99"), (12.34, "12.3"), (12345.6, "12,346")]
)
def test_numbers_have_about_three_digits(value, text) -> None:
    assert number(value) == text
