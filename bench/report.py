"""`python -m bench.report`: makes `docs/performance.md`, with its charts, out of results."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.charts import Bar, bar_chart
from bench.figures import Run
from bench.goals import goals_table
from bench.installing import ROOT
from bench.running import RESULTS, run_to_exit, say
from bench.stage import BenchError
from bench.tables import LOOPBACK, WAN, Chart, Section

FILES = {"loopback": "bench.json", "wan": "bench-wan.json"}
_CHAPTERS = {
    "loopback": (
        "On loopback",
        (
            "Client, proxies and target on one machine: what is measured is what the proxies cost. "
            "A hop is a program between client and target."
        ),
        LOOPBACK,
    ),
    "wan": (
        "Over a long path",
        (
            "Client and target at the two ends of an emulated path with delay and loss. Bridge, "
            "ss-local and ssh are at the client's end, all others at the target's."
        ),
        WAN,
    ),
}
_HEAD = """\
# Performance

<!-- Made by `make bench-report`; do not edit. -->

netjumper beside what people would use instead, as measured by `bench/`: all of it in one run, in
rounds, each in another order. A figure is the median of the rounds, with the least and the most in
brackets, and as a thin line in the charts. Compare figures of one table with each other: on another
machine all of them are others.

## Goals

R is a round trip. Ratios are those within a round, and of them the median.

"""


def page(runs: Mapping[str, Run]) -> str:
    """Return the page in Markdown.

    Args:
        runs: by their kinds.
    """
    parts = [_HEAD, goals_table(runs)]
    for kind, (title, text, sections) in _CHAPTERS.items():
        if kind in runs:
            run = runs[kind]
            parts += [f"\n## {title}\n\n{text}\n\n{_conditions(run)}"]
            parts += [_section(section, run) for section in sections if section.is_in(run)]
            parts += _problems(run)
    return "".join(parts)


def charts(runs: Mapping[str, Run]) -> Iterator[tuple[str, str]]:
    """Yield the charts: the names of their files, and their texts."""
    for kind, run in runs.items():
        for section in _CHAPTERS[kind][2]:
            for chart in section.charts:
                bars = list(_bars(chart, run))
                if bars:
                    yield (
                        f"{chart.file}.svg",
                        bar_chart(
                            chart.title, chart.unit, bars, less_is_better=chart.less_is_better
                        ),
                    )


def _bars(chart: Chart, run: Run) -> Iterator[Bar]:
    for peer, hops in run.peers.items():
        spread = run.spread(peer, chart.metric)
        if spread is not None:
            yield Bar(peer, "1 hop" if hops == 1 else f"{hops} hops", spread, peer in run.ours)


def _conditions(run: Run) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in run.versions.items())
    return f"`{run.command}` on: {machine}.\n\nVersions: {versions}.\n"


def _section(section: Section, run: Run) -> str:
    shown = [
        f"![{chart.title}](performance/{chart.file}.svg)\n\n"
        for chart in section.charts
        if any(_bars(chart, run))
    ]
    return f"\n### {section.title}\n\n{section.text}\n\n{''.join(shown)}{section.table(run)}"


def _problems(run: Run) -> list[str]:
    if not run.problems:
        return []
    lines = "".join(f"- {problem}\n" for problem in dict.fromkeys(run.problems))
    return [f"\n### What failed, or could not be measured\n\n{lines}"]


def write(results: Path, docs: Path) -> None:
    """Write page, charts, and the results that they are made of.

    Args:
        results: the folder with the files that the benchmarks wrote.
        docs: the folder for the page.

    Raises:
        BenchError: there are no results.
    """
    runs = {
        kind: Run.load(results / name) for kind, name in FILES.items() if (results / name).exists()
    }
    if not runs:
        raise BenchError(f"no results in {results}: run make bench, and as root make bench-wan")
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, run in runs.items():
        run.save(folder / FILES[kind])
    for name, text in charts(runs):
        (folder / name).write_text(text, encoding="utf-8")
    (docs / "performance.md").write_text(page(runs), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write it all, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder with results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page goes")
    options = parser.parse_args(arguments)

    def work() -> None:
        write(options.results, options.docs)
        say(f"written to {options.docs / 'performance.md'}")

    return run_to_exit(work)


if __name__ == "__main__":
    sys.exit(main())
