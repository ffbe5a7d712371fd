"""Charts of small data, letter by letter, as files in golden/.

After a change that is meant, write them anew and read the difference:

    RENEW_GOLDEN=1 .venv/bin/pytest tests/unit/dashboard/charts/test_golden.py && git diff
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from markupsafe import Markup

from centralcloud.dashboard.charts import (
    Bar,
    Column,
    CostPanel,
    CostPoint,
    Difference,
    Interval,
    Lane,
    Mark,
    Measure,
    Panel,
    Part,
    Step,
    columns,
    differences,
    frontier,
    intervals,
    parts,
    score_steps,
    sparkline,
    timeline,
    traffic_share,
)  # fmt: skip

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 30, 2, 20, tzinfo=UTC)
START = NOW - timedelta(hours=30)
ZURICH = ZoneInfo("Europe/Zurich")


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


CHARTS: dict[str, Callable[[], Markup]] = {
    "sparkline": lambda: sparkline([0.9, 0.98, None, 0.97, 0.98], label="98% succeed"),
    "score_steps": lambda: score_steps(
        [Step(ago(40), 4.8, 4.7, 4.9), Step(ago(20), 2.1, 1.9, 2.4), Step(ago(11), 4.8)],
        [
            Mark(ago(20), 1, "alarm", "0.98 to 0.43"),
            Mark(ago(19.8), 2, "pin", "by ana"),
            Mark(ago(12), 3, "rollback", "to version 7"),
            Mark(ago(2), 4, "hold", "few outcomes"),
        ],
        start=START, end=NOW, label="4.80, back after a fall", zone=ZURICH,
    ),
    "intervals": lambda: intervals(
        [
            Panel(
                "complex",
                [
                    Interval("cirrus-mini", 0.48, 0.33, 0.63, 27, url="/pair?model=cirrus-mini&complexity=complex"),
                    Interval("ember-reason", 0.982, 0.979, 0.985, 6566, leads=True),
                    Interval("<script>", None, None, None, 0),
                ],
            )
        ],
        label="ember-reason leads",
    ),
    "differences": lambda: differences(
        [
            Measure(
                "Points",
                [
                    Difference("Success", 0.012, 0.034, "better"),
                    Difference("<b>", -0.03, None, "open"),
                    Difference("Arrived", None, None, "unknown"),
                    Difference("Moved", 0.02, 0.01),
                ],
                limit=-0.02,
            ),
            Measure("Time", [Difference("Time", 0.1, 0.3, "worse")], "%", 0.25),
        ],
        label="better by 1.2 to 3.4 points",
    ),
    "traffic_share": lambda: traffic_share(
        [ago(hours) for hours in (30, 20, 10)],
        {"ember-reason": [0.9, 0.1, 0.97], "atlas-large": [0.1, 0.9, 0.02], "<b>": [0, 0, 0.01]},
        leader="ember-reason", end=NOW, label="now ember-reason gets 97%", zone=ZURICH,
    ),
    "columns": lambda: columns(
        [Column(ago(hours), None if hours == 3 else 1.5 * hours, running=hours == 0.5) for hours in (4, 3, 2, 0.5)],
        unit="usd", zone=ZURICH, label="$9.75 in four hours",
    ),
    "frontier": lambda: frontier(
        [
            CostPanel(
                "simple",
                [
                    CostPoint("cirrus-mini", 0.001, 0.86, 0.02, on_frontier=True),
                    CostPoint("dune-code", 0.004, 0.98, 0.95, leads=True, on_frontier=True),
                    CostPoint("atlas-large", 0.02, 0.94, 0.03),
                ],
            )
        ],
        label="dune-code is worth its price",
    ),
    "timeline": lambda: timeline(
        [
            Lane("ember-reason / complex", [Bar(ago(20), ago(11), "good", "Low success rate", "/incidents?id=1")]),
            Lane("instance-4", [Bar(ago(1), None, "look", "Instance not believed")]),
        ],
        start=START, end=NOW, label="1 incident is open", zone=ZURICH,
    ),
    "parts": lambda: parts(
        [Part("Success", 4.91, "98.2% of 6,566 outcomes"), Part("Latency", -0.1, "1,240 ms")], total=4.81, label="4.81"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHARTS))
def test_a_chart_of_small_data_is_as_in_its_file(name: str) -> None:
    file = GOLDEN / f"{name}.svg.html"
    # A line for each element, for readers of a difference.
    text = CHARTS[name]().replace("><", ">\n<") + "\n"
    if os.environ.get("RENEW_GOLDEN"):
        file.write_text(text)
    assert file.read_text() == text
