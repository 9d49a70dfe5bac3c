"""Sections of the page, with the columns of their tables and their charts."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.samples import Run, Spread
from bench.summary import format_number


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        heading: of the column.
        metric: that it shows.
    """

    heading: str
    metric: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the page.

    Args:
        file: name of its file, without the extension.
        title: of the chart.
        unit: of its values.
        metric: that it shows.
        less_is_better: whether the shortest bar is on top.
    """

    file: str
    title: str
    unit: str
    metric: str
    less_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Args:
        title: of the section.
        text: what is measured, and how to read it.
        columns: of its table.
        charts: above the table.
    """

    title: str
    text: str
    columns: tuple[Column, ...]
    charts: tuple[Chart, ...] = ()

    def is_in(self, run: Run) -> bool:
        """Return whether a run has any of its figures."""
        return any(
            run.spread(competitor, it.metric)
            for competitor in run.competitors
            for it in self.columns
        )

    def table(self, run: Run) -> str:
        """Return its table in Markdown, with a line for each competitor."""
        lines = [
            f"| hops | | {' | '.join(column.heading for column in self.columns)} |",
            f"|---|---|{'---:|' * len(self.columns)}",
        ]
        for competitor, hops in run.competitors.items():
            cells = [run.spread(competitor, column.metric) for column in self.columns]
            if any(cells):
                name = f"**{competitor}**" if competitor in run.netjumper_rows else competitor
                lines.append(f"| {hops} | {name} | {' | '.join(map(format_spread, cells))} |")
        return "\n".join(lines) + "\n"


def format_spread(spread: Spread | None) -> str:
    """Return a median, with minimum and maximum if they differ."""
    if spread is None:
        return "-"
    median, minimum, maximum = map(format_number, (spread.median, spread.minimum, spread.maximum))
    return median if minimum == maximum else f"{median} ({minimum} to {maximum})"


def _bulk(metric: str) -> tuple[Column, ...]:
    return tuple(
        Column(f"{direction}, {clients}", f"{direction}_{clients}_{metric}")
        for direction in ("down", "up")
        for clients in (1, 8)
    )


LOOPBACK = (
    Section(
        "Bulk data",
        "One direction at a time, on 1 and on 8 connections, in Gbit/s.",
        _bulk("gbit_s"),
        (Chart("bulk", "A download on one connection", "Gbit/s", "down_1_gbit_s"),),
    ),
    Section(
        "Cost of a byte",
        "Processor seconds per GB, of all processes of a row together.",
        _bulk("cpu_s_per_gb"),
        (
            Chart(
                "bulk-cost",
                "Processor time of a download",
                "seconds per GB",
                "down_1_cpu_s_per_gb",
                less_is_better=True,
            ),
        ),
    ),
    Section(
        "New connections",
        "16 clients connect, send a byte, receive a byte and close. The processor time is the sum "
        "of all processes of a row, for one connection.",
        (Column("per second", "connect_per_s"), Column("processor, µs", "connect_cpu_us")),
        (Chart("connections", "New connections", "per second", "connect_per_s"),),
    ),
    Section(
        "Ping-pong",
        "64 bytes and their echo, on 1 and on 50 open connections, in µs.",
        tuple(
            Column(f"{clients}, {which}", f"pingpong_{clients}_{which}_us")
            for clients in (1, 50)
            for which in ("p50", "p99")
        ),
        (
            Chart(
                "pingpong",
                "Ping-pong on one connection, p50",
                "µs",
                "pingpong_1_p50_us",
                less_is_better=True,
            ),
        ),
    ),
    Section(
        "Idle tunnels",
        "Resident memory that each idle tunnel adds (shared memory counts once): of all processes "
        "of a row, and of the largest one. The last column shows how many tunnels one process held "
        "in a test with very many.",
        (
            Column("held", "idle_held"),
            Column("kB each", "idle_kb"),
            Column("kB each, largest process", "idle_kb_largest"),
            Column("held at most", "many_held"),
        ),
        (Chart("idle", "Memory of an idle tunnel", "kB", "idle_kb", less_is_better=True),),
    ),
)


def _losses(metric: str, rtt: int) -> tuple[Column, ...]:
    return tuple(
        Column(f"{loss} % loss, {which}", f"{metric}_{which}_ms_{rtt}ms_{loss}%")
        for loss in (0, 1, 3)
        for which in ("p50", "p99")
    )


def _path(rtt: int, charts: Sequence[Chart]) -> tuple[Section, ...]:
    return (
        Section(
            f"First byte, round trip of {rtt} ms",
            f"From the client's connect to the first byte that the target sent back, in ms; "
            f"{rtt} is one round trip. 20 clients repeat this. They send two bytes of no protocol, "
            "which a bridge must not repeat: a lost packet waits for TCP's retransmission timeout.",
            _losses("first", rtt),
            tuple(chart for chart in charts if chart.file.startswith("first")),
        ),
        Section(
            f"First byte of HTTP, round trip of {rtt} ms",
            "First byte of the answer to an HTTP request, which a bridge can repeat, like the "
            "ClientHello of TLS: if an answer is late, it sends the request on a second parked "
            "connection.",
            _losses("http", rtt),
            tuple(chart for chart in charts if chart.file.startswith("http")),
        ),
        Section(
            f"A page, round trip of {rtt} ms",
            "A document and 29 objects of 20 kB over 6 connections, as a browser fetches them, "
            "4 pages at a time, in ms.",
            _losses("page", rtt),
            tuple(chart for chart in charts if chart.file.startswith("page")),
        ),
    )


def _wait(part: str, title: str, which: str, loss: int) -> Chart:
    return Chart(
        f"{part}-{which}",
        f"{title}, round trip of 200 ms, {loss} % loss, {which}",
        "ms",
        f"{part}_{which}_ms_200ms_{loss}%",
        less_is_better=True,
    )


WAN = (
    *_path(
        200,
        (
            _wait("first", "First byte", "p50", 0),
            _wait("first", "First byte", "p99", 1),
            _wait("http", "First byte of HTTP", "p99", 1),
            _wait("page", "A page", "p50", 1),
        ),
    ),
    *_path(50, ()),
    Section(
        "Bulk data over a long path",
        "A download on one connection in Mbit/s: 200 ms, 1 % loss, 100 Mbit/s, by the system's "
        "congestion control. netjumper uses bbr in both columns (its default). Losses are random, "
        "so there are several downloads in each round.",
        tuple(
            Column(algorithm, f"bulk_mbit_s_200ms_1%_{algorithm}") for algorithm in ("cubic", "bbr")
        ),
        (
            Chart(
                "long-bulk",
                "A download over a long path with 1 % loss, bbr",
                "Mbit/s",
                "bulk_mbit_s_200ms_1%_bbr",
            ),
        ),
    ),
    Section(
        "Restarts and pauses",
        "Requests of 20 clients over 20 ms. Before each tenth of them the jump server restarts, or "
        "there are no requests during the pause, while a firewall on the path forgets connections "
        "that are idle for 15 s.",
        (
            Column("requests", "resilience_requests"),
            Column("restarts", "resilience_restarts"),
            Column("pause, s", "resilience_pause_s"),
            Column("failed", "resilience_failed"),
        ),
    ),
)
