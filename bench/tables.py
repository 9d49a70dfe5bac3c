"""What the page shows: its tables' columns and its charts."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.samples import Run, Spread
from bench.summary import number


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        heading: above it.
        metric: what it shows.
    """

    heading: str
    metric: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the page.

    Args:
        file: the name of its file, without the ending.
        title: above it.
        unit: of its values.
        metric: what it shows.
        less_is_better: how its bars are ordered.
    """

    file: str
    title: str
    unit: str
    metric: str
    less_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Args:
        title: above it.
        text: what is measured, and how to read it.
        columns: of its table.
        charts: in front of the table.
    """

    title: str
    text: str
    columns: tuple[Column, ...]
    charts: tuple[Chart, ...] = ()

    def is_in(self, run: Run) -> bool:
        """Tell whether a run has any of its figures."""
        return any(run.spread(peer, it.metric) for peer in run.competitors for it in self.columns)

    def table(self, run: Run) -> str:
        """Return its table in Markdown: a line for each peer, medians with least and most."""
        lines = [
            f"| hops | | {' | '.join(column.heading for column in self.columns)} |",
            f"|---|---|{'---:|' * len(self.columns)}",
        ]
        for peer, hops in run.competitors.items():
            cells = [run.spread(peer, column.metric) for column in self.columns]
            if any(cells):
                name = f"**{peer}**" if peer in run.ours else peer
                lines.append(f"| {hops} | {name} | {' | '.join(map(message, cells))} |")
        return "\n".join(lines) + "\n"


def message(spread: Spread | None) -> str:
    """Return a median, with least and most where these are others."""
    if spread is None:
        return "-"
    median, least, most = map(number, (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least} to {most})"


def _bulk(metric: str) -> tuple[Column, ...]:
    return tuple(
        Column(f"{way}, {clients}", f"{way}_{clients}_{metric}")
        for way in ("down", "up")
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
        "What a byte costs",
        "Processor seconds per GB, of all processes of the peer together.",
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
        "16 clients connect, send a byte, get a byte and close. The processor time is that of all "
        "processes of the peer, for one connection.",
        (Column("per second", "connect_per_s"), Column("processor, µs", "connect_cpu_us")),
        (Chart("connections", "New connections", "per second", "connect_per_s"),),
    ),
    Section(
        "Ping-pong",
        "64 bytes out, the same back, on 1 and on 50 open connections, in µs.",
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
        "What each idle tunnel adds to the resident memory (what processes share counts once): "
        "of all processes of the peer, and of that with most. The last column: how many "
        "one process held when it was asked for very many.",
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
            f"{rtt} is one round trip. 20 clients ask one after another. They send two bytes of no "
            "protocol, which a bridge may not repeat: what is lost waits for TCP's time-out.",
            _losses("first", rtt),
            tuple(chart for chart in charts if chart.file.startswith("first")),
        ),
        Section(
            f"First byte of HTTP, round trip of {rtt} ms",
            "First byte of an HTTP request, which a bridge may repeat, like the ClientHello of TLS"
            ": if an answer is late, it sends the request on a second parked connection.",
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
        "Requests of 20 clients over 20 ms. Before each tenth of them either the jump server is "
        "restarted, or nothing is asked for during the pause, while a firewall on the path forgets "
        "connections that are idle for 15 s.",
        (
            Column("requests", "resilience_requests"),
            Column("restarts", "resilience_restarts"),
            Column("pause, s", "resilience_pause_s"),
            Column("failed", "resilience_failed"),
        ),
    ),
)
