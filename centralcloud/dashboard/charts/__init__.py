"""Charts as SVG, drawn on the server: pure functions from data to markup. They read no clock and no database."""

from centralcloud.dashboard.charts.columns import Column, columns
from centralcloud.dashboard.charts.differences import Difference, Measure, differences
from centralcloud.dashboard.charts.drawing import Size
from centralcloud.dashboard.charts.frontier import CostPanel, CostPoint, frontier, frontier_of
from centralcloud.dashboard.charts.intervals import Interval, Panel, intervals
from centralcloud.dashboard.charts.parts import Part, parts
from centralcloud.dashboard.charts.score_steps import Mark, MarkKind, Step, score_steps
from centralcloud.dashboard.charts.sparkline import sparkline
from centralcloud.dashboard.charts.timeline import Bar, Lane, State, timeline
from centralcloud.dashboard.charts.traffic_share import traffic_share

__all__ = [
    "Bar", "Column", "CostPanel", "CostPoint", "Difference", "Interval", "Lane", "Mark", "MarkKind", "Measure", "Panel",
    "Part", "Size", "State", "Step", "columns", "differences", "frontier", "frontier_of", "intervals", "parts",
    "score_steps", "sparkline", "timeline", "traffic_share",
]  # fmt: skip
