"""Show the figures of a run as text for a terminal."""

from bench.samples import Run


def summary(run: Run) -> str:
    """Return a table of medians, with a line for each metric and a column for each competitor."""
    metrics = list(dict.fromkeys(figure.metric for figure in run.figures))
    lines = [["", *run.competitors]] + [
        [metric, *(_cell(run, competitor, metric) for competitor in run.competitors)]
        for metric in sorted(metrics)
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join(
        "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join([table, *run.problems, ""])


def _cell(run: Run, competitor: str, metric: str) -> str:
    spread = run.spread(competitor, metric)
    return format_number(spread.median) if spread else "-"


def format_number(value: float) -> str:
    """Return a number with about three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
