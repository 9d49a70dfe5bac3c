"""`python -m bench.report`: make `docs/performance.md` and its charts of results."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.charts import Bar, bar_chart
from bench.goals import goals_table
from bench.harness import FILES, print_line, run_to_exit
from bench.install import ROOT
from bench.processes import BenchError
from bench.samples import Run
from bench.tables import LOOPBACK, WAN, Chart, Section

Results = Mapping[str, Sequence[Run]]
"""The runs of each kind, in the order of the command line."""

_CHAPTERS = {
    "loopback": (
        "On loopback",
        (
            "Client, proxies and target on one machine: the figures show the cost of the proxies. "
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

netjumper beside comparable programs, measured by `bench/`. One run measures all rows of a table, in
several rounds with a random order each. A figure is the median of the rounds; its minimum and
maximum are in brackets, and a thin line in the charts. Compare figures only within a table: they
depend on the machine. [CONTRIBUTING](../CONTRIBUTING.md#benchmarks) describes how to run it.

## Goals

R is the round-trip time. Ratios are computed within a round; the table shows their median.

"""


def page(results: Results) -> str:
    """Return the page in Markdown.

    Args:
        results: to show; runs of one kind share their tables.
    """
    merged = _merged(results)
    parts = [_HEAD, goals_table(merged)]
    for kind, (title, text, sections) in _CHAPTERS.items():
        if kind in merged:
            run = merged[kind]
            parts += [f"\n## {title}\n\n{text}\n", *map(_conditions, results[kind])]
            parts += [_section(section, run) for section in sections if section.is_in(run)]
            parts += _problems(results[kind])
    return "".join(parts)


def charts(results: Results) -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of each chart."""
    for kind, run in _merged(results).items():
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


def _merged(results: Results) -> dict[str, Run]:
    return {kind: Run.merged(runs) for kind, runs in results.items()}


def _bars(chart: Chart, run: Run) -> Iterator[Bar]:
    for competitor, hops in run.competitors.items():
        spread = run.spread(competitor, chart.metric)
        if spread is not None:
            yield Bar(
                competitor,
                "1 hop" if hops == 1 else f"{hops} hops",
                spread,
                competitor in run.netjumper_rows,
            )


def _conditions(run: Run) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in run.versions.items())
    return f"\n`{run.command}` on: {machine}.\n\nVersions: {versions}.\n"


def _section(section: Section, run: Run) -> str:
    images = [
        f"![{chart.title}](performance/{chart.file}.svg)\n\n"
        for chart in section.charts
        if any(_bars(chart, run))
    ]
    return f"\n### {section.title}\n\n{section.text}\n\n{''.join(images)}{section.table(run)}"


def _problems(runs: Sequence[Run]) -> list[str]:
    parts = ["\n### Failures and missing measurements\n"]
    for run in runs:
        lines = [f"- {problem}\n" for problem in dict.fromkeys(run.problems)] or ["- nothing\n"]
        parts += [f"\n`{run.command}`:\n\n", *lines]
    return parts


def load(files: Iterable[Path]) -> dict[str, list[Run]]:
    """Read result files.

    Raises:
        BenchError: a file cannot be read or has no results.
    """
    results: dict[str, list[Run]] = {}
    for file in files:
        try:
            run = Run.load(file)
        except (OSError, ValueError) as error:
            raise BenchError(str(error)) from None
        if run.kind not in _CHAPTERS:
            raise BenchError(f"{file} has results of an unknown kind: {run.kind}")
        results.setdefault(run.kind, []).append(run)
    return results


def write(results: Results, docs: Path) -> None:
    """Write the page, its charts and the results that it shows, and remove the previous ones.

    Args:
        results: to show.
        docs: the folder for the page.
    """
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.json"), *folder.glob("*.svg")):
        old.unlink()
    for kind, runs in results.items():
        for number, run in enumerate(runs, 1):
            run.save(folder / f"{kind}-{number}.json")
    for name, text in charts(results):
        (folder / name).write_text(text, encoding="utf-8")
    (docs / "performance.md").write_text(page(results), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write page and charts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="result file; default: those of complete runs",
    )
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder for the page")
    options = parser.parse_args(arguments)

    def work() -> None:
        results = load(options.files or [file for file in FILES.values() if file.exists()])
        if not results:
            raise BenchError("there are no results: run make bench, and as root make bench-wan")
        write(results, options.docs)
        print_line(f"written to {options.docs / 'performance.md'}")

    return run_to_exit(work)


if __name__ == "__main__":
    sys.exit(main())
