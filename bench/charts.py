"""Bar charts as SVG, without a library; readable on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.samples import Spread
from bench.summary import format_number

_WIDTH = 860
_BARS_X = 400
_MAX_BAR_WIDTH = 370
_TOP = 62
_ROW = 26
_BAR = 16

# The background is painted, so that the chart does not depend on the page around it.
_STYLE = """\
  <style>
    .page { fill: #ffffff } .text { fill: #1f2328 } .soft { fill: #59636e }
    .netjumper { fill: #1f6feb } .other { fill: #9aa4b2 } .spread { stroke: #1f2328 }
    text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
    .title { font-size: 15px; font-weight: 600 } .end { text-anchor: end }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 } .text { fill: #e6edf3 } .soft { fill: #9198a1 }
      .netjumper { fill: #4493f8 } .other { fill: #656c76 } .spread { stroke: #e6edf3 }
    }
  </style>
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of one competitor.

    Args:
        label: its name.
        note: text in front of the name.
        spread: its values; the median is the length of the bar.
        is_netjumper: whether it is highlighted.
    """

    label: str
    note: str
    spread: Spread
    is_netjumper: bool = False


def bar_chart(title: str, unit: str, bars: Sequence[Bar], *, less_is_better: bool) -> str:
    """Return a chart with horizontal bars, the best on top.

    Args:
        title: of the chart.
        unit: of the values.
        bars: at least one.
        less_is_better: whether the shortest bar is on top.
    """
    ordered = sorted(bars, key=lambda bar: bar.spread.median, reverse=not less_is_better)
    scale = _MAX_BAR_WIDTH / (max(bar.spread.maximum for bar in bars) or 1)
    height = _TOP + _ROW * len(bars) + 8
    better = "shorter is better" if less_is_better else "longer is better"
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_attribute(title)}">'
        ),
        _STYLE.rstrip("\n"),
        f'  <rect class="page" width="{_WIDTH}" height="{height}" rx="6"/>',
        f'  <text class="text title" x="16" y="26">{escape(title)}</text>',
        f'  <text class="soft" x="16" y="46">{escape(unit)}; {better}</text>',
    ]
    for index, bar in enumerate(ordered):
        lines += _row(bar, _TOP + index * _ROW, scale)
    return "\n".join([*lines, "</svg>", ""])


def _row(bar: Bar, top: float, scale: float) -> list[str]:
    kind = "netjumper" if bar.is_netjumper else "other"
    middle, baseline = top + _BAR / 2, top + 13
    median, least, most = (
        value * scale for value in (bar.spread.median, bar.spread.minimum, bar.spread.maximum)
    )
    end = _BARS_X + max(median, most)
    return [
        f'  <text class="soft" x="16" y="{baseline:g}">{escape(bar.note)}</text>',
        f'  <text class="text end" x="{_BARS_X - 10}" y="{baseline:g}">{escape(bar.label)}</text>',
        (
            f'  <rect class="{kind}" x="{_BARS_X}" y="{top:g}" width="{max(median, 1):.1f}" '
            f'height="{_BAR}" rx="2"/>'
        ),
        (
            f'  <line class="spread" x1="{_BARS_X + least:.1f}" x2="{_BARS_X + most:.1f}" '
            f'y1="{middle:g}" y2="{middle:g}"/>'
        ),
        (
            f'  <text class="text" x="{end + 8:.1f}" y="{baseline:g}">'
            f"{format_number(bar.spread.median)}</text>"
        ),
    ]


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
