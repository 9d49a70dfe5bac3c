"""A run's figures as text for a terminal."""

from bench.samples import Run


def summary(run: Run) -> str:
    """Return a table: a line for each peer, a column for each metric, medians."""
    metrics = list(dict.fromkeys(figure.metric for figure in run.figures))
    lines = [["", *run.competitors]] + [
        [metric, *(_shown(run, peer, metric) for peer in run.competitors)]
        for metric in sorted(metrics)
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join(
        "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join([table, *run.problems, ""])


def _shown(run: Run, peer: str, metric: str) -> str:
    found = run.spread(peer, metric)
    return number(found.median) if found else "-"


def number(value: float) -> str:
    """Return it with about three digits, as people read them."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
