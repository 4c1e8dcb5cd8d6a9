"""The metrics of one run: each with its last value and shape, and a plot of the chosen one."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from podops_tui.ansi import clean
from podops_tui.format import DASH
from podops_tui.metrics_series import MetricsSeries, Point
from podops_tui.plot import plot, sparkline
from podops_tui.widgets.row_list import RowList, cell

#: One metric: its name, its last value and its points.
Metric = tuple[str, float, list[Point]]

_WHENCE = (
    "Metrics are read from lines like `step 10 loss 2.98` and those of well-known trainers, or from JSON lines that "
    "the run appends to $OPS_METRICS_FILE. For lines of another form, give its preset a `metrics_pattern`."
)


class MetricsTable(RowList[Metric]):
    def key_of(self, item: Metric) -> str:
        return item[0]

    def line_of(self, item: Metric | None, width: int) -> Text:
        name_width = max(12, min(30, width // 3))
        if item is None:
            words, shape = ["METRIC", "LAST", "MIN", "MAX"], "SHAPE"
        else:
            name, last, points = item
            values = [value for _, value in points]
            least = [f"{value:.4g}" for value in (min(values), max(values))] if values else [DASH, DASH]
            words = [clean(name), f"{last:.4g}", *least]
            shape = sparkline(values, max(0, width - name_width - 33))
        row = cell(words[0], name_width)
        for word in words[1:]:
            row.append_text(cell(word, 9, right=True))
        return row.append(" " + shape, "cyan" if item else "")


class MetricsPane(Vertical):
    DEFAULT_CSS = """
    MetricsPane { border: round $surface-lighten-2; }
    MetricsPane:focus-within { border: round $accent; }
    MetricsPane #metric-list { height: 1fr; max-height: 12; min-height: 3; }
    MetricsPane #plot { height: 2fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="metrics")
        self._said = Text("reading…", "dim")
        self._series = MetricsSeries()

    def compose(self) -> ComposeResult:
        yield MetricsTable(id="metric-list")
        yield Static(id="plot")

    def show_series(self, series: MetricsSeries, *, ended: bool) -> None:
        """Draw what there is, the loss selected first."""
        self._said = Text("the run has written no metrics" + ("" if ended else " yet") + "\n\n" + _WHENCE, "dim")
        self._series = series
        table = self.query_one(MetricsTable)
        names = sorted(series.last, key=lambda name: (name != "loss", "loss" not in name, name))
        table.show([(name, series.last[name], series.points.get(name, [])) for name in names])
        table.styles.max_height = min(len(names) + 1, max(3, self.size.height // 2))
        self._plot()

    def show_trouble(self, text: str) -> None:
        self._said = Text(clean(text), "dim")
        self._plot()

    def on_resize(self) -> None:
        self._plot()

    @on(RowList.Selected)
    def _plot(self) -> None:
        metric = self.query_one(MetricsTable).selected
        area = self.query_one("#plot", Static)
        if metric is None:
            area.update(self._said)
            return
        name, _, points = metric
        text = Text(no_wrap=True)
        text.append(f"{clean(name)} by {self._series.axis(name)}\n", "bold")
        text.append("\n".join(plot(points, area.size.width, area.size.height - 1)), "cyan")
        area.update(text)
