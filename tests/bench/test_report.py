"""The page and its charts, from given results."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import report, resilience
from bench.charts import Bar, bar_chart
from bench.goals import GOALS, goals_table
from bench.harness import FILES, RESULTS
from bench.loopback import FULL_PLAN
from bench.report import charts, load, main, page, write
from bench.samples import Run, Spread
from bench.tables import LOOPBACK, WAN
from bench.wan import COMPETITORS

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def loopback_run() -> Run:
    competitors = {"direct": 0, "microsocks": 1, "netjumper": 1}
    machine = {"processor": "fast one", "cores": "2"}
    run = Run("loopback", "make bench", machine, {"microsocks": "1.0"}, competitors, ["netjumper"])
    for competitor, speeds in {
        "direct": (30, 32),
        "microsocks": (3, 3),
        "netjumper": (15, 17),
    }.items():
        for number, speed in enumerate(speeds):
            run.add(competitor, "down_1_gbit_s", number, speed)
    run.problems.append("dante is not installed: apt install dante-server")
    return run


def wan_run() -> Run:
    competitors = {"direct": 0, "bridge + netjumper (uvloop, parked)": 2}
    run = Run("wan", "make bench-wan", {}, {}, competitors, ["bridge + netjumper (uvloop, parked)"])
    run.add("direct", "first_p50_ms_200ms_0%", 0, 402)
    run.add("bridge + netjumper (uvloop, parked)", "first_p50_ms_200ms_0%", 0, 404)
    return run


def runs() -> dict[str, list[Run]]:
    return {"loopback": [loopback_run()], "wan": [wan_run()]}


def merged() -> dict[str, Run]:
    return {"loopback": loopback_run(), "wan": wan_run()}


def test_row_has_median_and_spread_and_highlights_netjumper() -> None:
    text = page(runs())
    assert "| 0 | direct | 31.0 (30.0 to 32.0) | - | - | - |" in text
    assert "| 1 | **netjumper** | 16.0 (15.0 to 17.0) | - | - | - |" in text


def test_slow_rows_and_problems_are_shown() -> None:
    text = page(runs())
    assert "| 1 | microsocks | 3.00 | - | - | - |" in text
    heading = "### Failures and missing measurements\n\n"
    assert f"{heading}`make bench`:\n\n- dante is not installed: apt install dante-server\n" in text
    assert f"{heading}`make bench-wan`:\n\n- nothing\n" in text


def test_page_names_command_machine_and_versions() -> None:
    text = page(runs())
    assert "`make bench` on: processor fast one, cores 2." in text
    assert "Versions: microsocks 1.0." in text


def test_unmeasured_figure_has_no_section() -> None:
    assert "## Over a long path" not in page({"loopback": [loopback_run()]})
    assert "### Ping-pong" not in page(runs())


def test_goal_is_reached_missed_or_not_measured() -> None:
    table = goals_table(merged())
    assert (
        "| one hop, bulk on 1 connection | ≥ 4 x microsocks | 5.33 x microsocks | reached |"
        in table
    )
    assert "| the same | ≥ 0.55 x direct | 0.52 x direct | **missed** |" in table
    assert "| first byte, 200 ms, p50, parked | ≤ 2.1 R | 2.02 R | reached |" in table
    assert (
        "| chain, ping-pong, p50, uvloop | ≤ 1.1 x ss-local + ss-server | not measured | |" in table
    )


def test_shortened_trial_misses_a_goal() -> None:
    run = Run("wan", "make bench-wan", {}, {}, {resilience.NAME: 2})
    for name, value in {"requests": 1000, "restarts": 5, "pause_s": 60, "failed": 0}.items():
        run.add(resilience.NAME, f"resilience_{name}", 0, value)
    table = goals_table({"wan": run})
    assert "a firewall that forgets | ≥ 10,000 | 1,000 | **missed** |" in table
    assert "| the same, restarts | ≥ 5 | 5.00 | reached |" in table
    assert "| the same, requests that failed | ≤ 0 | 0.00 | reached |" in table


def test_runs_of_one_kind_share_tables_and_are_all_named() -> None:
    first, bulk = wan_run(), wan_run()
    first.command, bulk.command = (f'make bench-wan ARGS="--only {it}"' for it in ("first", "bulk"))
    first.machine = {"date": "2026-01-30", "load before": "0.10"}
    bulk.machine = {"date": "2026-01-31", "load before": "0.20"}
    bulk.versions, bulk.figures = {"ssh": "9.0"}, []
    bulk.problems.append("ssh -D: 1 downloads failed")
    bulk.add("direct", "bulk_mbit_s_200ms_1%_cubic", 0, 12)
    text = page({"wan": [first, bulk]})
    assert text.count("## Over a long path") == 1
    for words in (
        '`make bench-wan ARGS="--only first"` on: date 2026-01-30, load before 0.10.',
        '`make bench-wan ARGS="--only bulk"` on: date 2026-01-31, load before 0.20.',
        "Versions: ssh 9.0.",
        "| 0 | direct | 402 |",
        "| 0 | direct | 12.0 | - |",
        '`make bench-wan ARGS="--only bulk"`:\n\n- ssh -D: 1 downloads failed\n',
    ):
        assert words in text


def test_goals_name_existing_rows_and_metrics() -> None:
    rows = {"loopback": FULL_PLAN.competitors, "wan": COMPETITORS}
    sections = {"loopback": LOOPBACK, "wan": WAN}
    for goal in GOALS:
        names = {competitor.name for competitor in rows[goal.kind]} | {resilience.NAME}
        assert {goal.competitor, goal.other} - {""} <= names
        metrics = {it.metric for part in sections[goal.kind] for it in part.columns}
        assert goal.metric in metrics


def test_chart_has_the_best_bar_on_top() -> None:
    bars = [Bar(name, "1 hop", Spread(value, value, value)) for name, value in (("a", 1), ("b", 9))]
    for less_is_better, names in ((True, ["a", "b"]), (False, ["b", "a"])):
        text = bar_chart("t", "ms", bars, less_is_better=less_is_better)
        assert re.findall(">([ab])<", text) == names


def test_bars_and_lines_are_scaled_to_values_and_spreads() -> None:
    bars = [
        Bar("a", "1 hop", Spread(4, 2, 8), is_netjumper=True),
        Bar("b", "1 hop", Spread(2, 2, 2)),
    ]
    root = ET.fromstring(bar_chart("t", "ms", bars, less_is_better=False))  # noqa: S314 - our own
    lengths = {
        it.get("class"): float(it.get("width"))
        for it in root.iter(f"{SVG}rect")
        if it.get("class") != "page"
    }
    assert lengths["netjumper"] == 2 * lengths["other"]
    line = next(root.iter(f"{SVG}line"))
    assert float(line.get("x2")) - float(line.get("x1")) == pytest.approx(
        1.5 * lengths["netjumper"]
    )


def test_markup_in_names_is_escaped() -> None:
    bars = [Bar('a < b & "c"', "1 hop", Spread(1, 1, 1))]
    root = ET.fromstring(bar_chart('x & "y"', "ms", bars, less_is_better=False))  # noqa: S314 - our own
    assert 'a < b & "c"' in {it.text for it in root.iter(f"{SVG}text")}


def test_charts_of_the_page_exist() -> None:
    shown = set(re.findall(r"\(performance/(.*?)\)", page(runs())))
    assert shown == {name for name, _ in charts(runs())} == {"bulk.svg", "first-p50.svg"}


def test_charts_have_unique_file_names() -> None:
    names = [chart.file for section in (*LOOPBACK, *WAN) for chart in section.charts]
    assert len(names) == len(set(names))


def test_results_are_saved_beside_the_page(tmp_path) -> None:
    files = [tmp_path / name for name in ("wan-a", "loopback", "wan-b")]
    for file, run in zip(files, (wan_run(), loopback_run(), wan_run()), strict=True):
        run.save(file)
    folder = tmp_path / "docs" / "performance"
    folder.mkdir(parents=True)
    (folder / "chart-of-before.svg").touch()
    assert main([*map(str, files), "--docs", str(folder.parent)]) == 0
    text = (folder.parent / "performance.md").read_text()
    assert text == page({"loopback": [loopback_run()], "wan": [wan_run(), wan_run()]})
    assert sorted(it.name for it in folder.iterdir()) == [
        "bulk.svg", "first-p50.svg", "loopback-1.json", "wan-1.json", "wan-2.json",
    ]  # fmt: skip
    # The page can be made of these files again.
    assert main([*map(str, sorted(folder.glob("*.json"))), "--docs", str(folder.parent)]) == 0
    assert (folder.parent / "performance.md").read_text() == text


def test_page_without_arguments_uses_complete_runs(tmp_path, monkeypatch) -> None:
    files = {kind: tmp_path / f"{kind}.json" for kind in FILES}
    monkeypatch.setattr(report, "FILES", files)
    wan_run().save(files["wan"])
    assert main(["--docs", str(tmp_path)]) == 0
    assert (tmp_path / "performance.md").read_text() == page({"wan": [wan_run()]})


def test_missing_results_name_the_command_to_run(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(report, "FILES", {"wan": tmp_path / "bench-wan.json"})
    assert main(["--docs", str(tmp_path)]) == 1
    assert "run make bench, and as root make bench-wan" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "has no results of a benchmark"),
        ('{"kind": "x", "command": "", "machine": {}, "versions": {}, "figures": []}', "kind: x"),
    ],
)
def test_file_without_results_is_reported(text, message, tmp_path, capsys) -> None:
    file = tmp_path / "it.json"
    if text:
        file.write_text(text)
    assert main([str(file), "--docs", str(tmp_path / "docs")]) == 1
    error = capsys.readouterr().err
    assert (message in error, str(file) in error, error.count("\n")) == (True, True, 1)
    assert not (tmp_path / "docs").exists()


@pytest.mark.skipif(not (DOCS / "performance").exists(), reason="no results are committed")
def test_committed_page_matches_the_results(tmp_path) -> None:
    write(load(sorted((DOCS / "performance").glob("*.json"))), tmp_path)
    for file in (it for it in tmp_path.rglob("*") if it.is_file()):
        assert file.read_text() == (DOCS / file.relative_to(tmp_path)).read_text()


def test_results_of_single_runs_are_ignored_by_git() -> None:
    ignored = (DOCS.parent / ".gitignore").read_text().splitlines()
    assert f"/{RESULTS.relative_to(DOCS.parent)}/" in ignored
