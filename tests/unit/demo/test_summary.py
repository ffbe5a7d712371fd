"""The last sentences of a demonstration are true for every length and at every moment."""

from dataclasses import replace
from typing import Any

import pytest

from centralcloud.demo.simulated_models import PAIRS
from centralcloud.demo.state import LoopState
from centralcloud.demo.summary import SUMMARY_COLUMNS, Result, summarize, summary_rows
from centralcloud.runtime.terminal.table_layout import table_lines, text_width

_WHOLE = Result(
    seconds=90.2,
    routers=5,
    in_sync=5,
    tasks=84_890,
    events=169_780,
    version=854,
    cost_usd=512.345,
    rate_at_start=0.7643,
    rate=0.978,
    recent_seconds=5.02,
    best=0.9817,
    learning=True,
    degraded=None,
    exploration=0.0,
)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, ["Success rose from 76.4% at the start to 97.8% in the last 5 seconds; the best possible is 98.2%."]),
        (  # --seconds 5
            {"seconds": 5.0, "version": 20, "rate": 0.91, "recent_seconds": 4.0},
            [
                "Success rose from 76.4% at the start to 91.0% in the last 4 seconds; the best possible is 98.2%.",
                "In that time some tasks still went to weaker models.",
            ],
        ),
        (
            {"seconds": 5.0, "version": 3, "rate": 0.771, "recent_seconds": 1.01},
            [
                "Success has not risen yet: 76.4% at the start, 77.1% in the last 1 second; the best possible is 98.2%.",
                "In that time some tasks still went to weaker models.",
            ],
        ),
        (
            {"seconds": 4.6, "version": 0, "rate": 0.76, "in_sync": 5},
            ["Nothing was learned yet: 76.0% of the tasks succeed, 76.4% at the start; the best possible is 98.2%."],
        ),
        (  # Ctrl-C in second 2
            {"seconds": 2.0, "version": 0, "learning": False, "rate": 0.7643},
            [
                "The demonstration ended before learning began: 76.4% of the tasks succeeded; the best possible is 98.2%."
            ],
        ),
        (
            {"seconds": 0.0, "version": 0, "learning": False, "rate": None, "rate_at_start": None, "tasks": 0},
            ["The demonstration ended before the first task was done."],
        ),
        (  # in the middle of the incident, before the fleet has reacted
            {"rate": 0.93, "best": 0.961, "degraded": "ember-reason"},
            [
                "Success rose from 76.4% at the start to 93.0% in the last 5 seconds; the best possible is 96.1% while "
                "ember-reason is worse.",
                "The demonstration ended in the middle of the incident: ember-reason was worse at the end.",
            ],
        ),
        (  # later in the incident
            {"rate": 0.957, "best": 0.961, "degraded": "ember-reason"},
            [
                "Success rose from 76.4% at the start to 95.7% in the last 5 seconds; the best possible is 96.1% while "
                "ember-reason is worse."
            ],
        ),
        (
            {"rate": 0.961, "exploration": 0.12},
            [
                "Success rose from 76.4% at the start to 96.1% in the last 5 seconds; the best possible is 98.2%.",
                "The routers try any model for 12% of the tasks, so that they notice which one is best; this costs success.",
            ],
        ),
    ],
)
def test_the_result_is_true_for_every_length(changes: dict[str, Any], sentences: list[str]) -> None:
    lines = summarize(replace(_WHOLE, **changes))
    assert lines[2 if changes.get("version", 854) else 1 :] == sentences


def test_the_work_is_counted() -> None:
    assert summarize(_WHOLE)[:2] == [
        "5 routers did 84,890 tasks in 90 seconds (941 a second), for $512.35; CentralCloud ingested 169,780 events.",
        "5 of 5 routers in sync with score version 854, the newest one.",
    ]
    alone = replace(_WHOLE, routers=1, in_sync=0, tasks=1, events=2, seconds=1.0)
    assert summarize(alone)[:2] == [
        "1 router did 1 task in 1 second (1 a second), for $512.35; CentralCloud ingested 2 events.",
        "0 of 1 router in sync with score version 854, the newest one.",
    ]


def test_the_table_has_a_line_for_each_model_and_complexity_and_fits_80_columns() -> None:
    pair = ("cirrus-mini", "simple")
    metrics = {pair: {"usage_count": 1_234_567, "success_rate": 0.98765, "avg_response_time": 348.4}}
    loop = LoopState(0, 0, 5, 5, 1, metrics, {pair: {"score": 4.912}})
    rows = summary_rows(loop, costs={pair: 12_345.678})
    lines = list(table_lines(SUMMARY_COLUMNS, [[cell or "-" for cell in row] for row in rows], 80))
    assert lines[0].split() == ["model", "complexity", "tasks", "succeed", "avg", "ms", "cost", "$", "score", "now"]
    assert len(lines) == 1 + len(PAIRS), "one line a row: 80 columns are enough"
    assert max(map(text_width, lines)) <= 80
    (row,) = (line for line in lines if line.startswith("cirrus-mini") and "simple" in line)
    assert row.split() == ["cirrus-mini", "simple", "1,234,567", "98.8%", "348", "12,345.68", "3.0", "4.91"]
    assert "  -  " in lines[1]
