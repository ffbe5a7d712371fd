"""`status` on a terminal: wrapped to its width, and with --watch cut to its height."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from centralcloud.cli.status import fitted, read_lines, status_lines
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.terminal.emphasis import Style
from centralcloud.runtime.terminal.lines import Line
from centralcloud.runtime.terminal.table_layout import text_width

_FINDING = (
    "           low_success_rate 19 minutes ago: 3,661 of 4,826 outcomes of gpt-4o for complex tasks succeeded in the "
    "last 24 hours (75.9%): expected at least 85.0%"
)


@pytest.mark.parametrize("width", [80, 140])
def test_a_line_breaks_between_words_and_its_rest_is_indented(width: int) -> None:
    lines = [line.text for line in fitted([Line("findings   1 open"), Line(_FINDING)], width, 23)]
    assert lines[0] == "findings   1 open"
    assert max(map(text_width, lines)) <= width
    assert lines[1].startswith("           low_success_rate 19")
    assert all(line.startswith(" " * 13) for line in lines[2:])
    assert " ".join(" ".join(lines[1:]).split()) == " ".join(_FINDING.split())


def test_the_number_of_lines_that_do_not_fit_is_shown() -> None:
    """Otherwise the first lines, which matter most, would scroll out of view."""
    lines = [Line(f"line {number}") for number in range(30)]
    assert fitted(lines, 80, 23) == [*lines[:22], Line("           8 more lines: enlarge the window to see them")]
    assert fitted(lines[:23], 80, 23) == lines[:23]


def test_an_outage_is_shown_and_does_not_end_status_watch() -> None:
    with Database("postgresql://user@127.0.0.1:1/none", application_name="tests") as unreachable:
        (line,) = read_lines(unreachable, 0.1)
    assert "the database is unavailable: connection failed" in line.text
    assert line.style == Style.WARNING


def _status(**changes: Any) -> dict[str, Any]:
    queue = {"messages": 0, "delayed": 0, "oldest_age_seconds": None, "sent_per_second": 0.0, "taken_per_second": 0.0}
    return {
        "workers": [], "queue": queue, "last_run": None, "frozen": None, "pins": 0, "newest_version": 0, "instances": 0,
        "instances_behind": [], "dead_letters": {}, "findings": [], "moved_scores": [], "shadow_rules": [], "warnings": [],
        "experiments": {"found": None}, "score_canaries": [],
    } | changes  # fmt: skip


def _texts(status: dict[str, Any]) -> list[str]:
    return [line.text for line in status_lines(status)]


def _worker(host: str, *, hours_ago: float = 0.0) -> dict[str, Any]:
    seen_at = (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()
    return {"host": host, "process": 1, "started_at": seen_at, "seen_at": seen_at, "running": hours_ago == 0.0}


def test_an_empty_fleet_reads_as_such() -> None:
    warnings = [{"check": "daemon", "found": "no daemon is running that ingests events", "advice": "start it"}]
    assert _texts(_status(warnings=warnings)) == [
        "workers    no daemon is running that ingests events",
        "queue      0 messages, 0 sent and 0 ingested a second",
        "learning   no run yet",
        "instances  0 seen within a day, 0 behind version 0",
        "letters    no dead letters open",
        "findings   0 open",
        "moved      no scores within a day",
    ]


@pytest.mark.parametrize(("number", "ending"), [(1, ""), (2, "s")])
def test_numbers_have_their_noun_in_singular_and_plural(number: int, ending: str) -> None:
    before = (datetime.now(UTC) - timedelta(minutes=2, seconds=5)).isoformat()
    run = {"rule": "adaptive", "finished_at": before, "excluded_instances": ["odd"]}
    run |= {"pairs_evaluated": number, "pairs_changed": number}
    queue = {
        "messages": number,
        "delayed": 0,
        "oldest_age_seconds": 7300.0,
        "sent_per_second": 1234.4,
        "taken_per_second": 9.6,
    }
    behind = [{"instance_id": "i-1", "applied_version": 4, "last_seen_at": before}]
    moved = {"model": "m", "complexity": "simple", "score_before": 2.0, "score_now": 2.3}
    status = _status(
        workers=number * [_worker("h")], queue=queue, last_run=run,
        frozen={"at": before, "reason": "audit"}, pins=number,
        newest_version=7, instances=12, instances_behind=behind, dead_letters={"timestamp": number},
        moved_scores=number * [moved],
    )  # fmt: skip
    assert _texts(status) == [
        f"workers    {number} worker{ending} on h",
        f"queue      {number} message{ending}, the oldest sent 2 hours ago; 1,234 sent and 10 ingested a second",
        f"learning   adaptive, last run 2 minutes ago: {number} pair{ending} evaluated, {number} score{ending} changed, "
        "without odd",
        "           FROZEN 2 minutes ago: audit",
        f"           {number} pinned score{ending}",
        "instances  12 seen within a day, 1 behind version 7",
        "           i-1 is at version 4, seen 2 minutes ago",
        f"letters    {number} dead letter{ending} open: {number} for timestamp",
        "findings   0 open",
        f"moved      {number} score{ending} within a day",
        *(number * ["           m (simple): 2.000 -> 2.300"]),
    ]


def _finding(number: int, share: float | None, message: str = "weak") -> dict[str, Any]:
    before = (datetime.now(UTC) - timedelta(minutes=2, seconds=5)).isoformat()
    return {
        "kind": "low_success_rate", "subject": f"m{number}/simple", "message": message, "opened_at": before,
        "traffic_share": share,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "lines"),
    [
        (
            [0.612, 0.01],
            [
                "61.2% of traffic, low_success_rate 2 minutes ago: weak",
                "1.0% of traffic, low_success_rate 2 minutes ago: weak",
            ],
        ),
        (
            [0.612, 0.003, 0.002],
            [
                "61.2% of traffic, low_success_rate 2 minutes ago: weak",
                "and 2 more that concern at most 0.3% of traffic each: `centralcloud findings` shows them",
            ],
        ),
        (
            [0.003, 0.002],
            [
                "0.3% of traffic, low_success_rate 2 minutes ago: weak",
                "and 1 more that concerns 0.2% of traffic: `centralcloud findings` shows them",
            ],
        ),
        ([None], ["low_success_rate 2 minutes ago: weak"]),
        (
            9 * [None],
            [*(8 * ["low_success_rate 2 minutes ago: weak"]), "and 1 more: `centralcloud findings` shows them"],
        ),
    ],
)
def test_findings_with_much_traffic_are_shown_and_the_others_are_counted(
    shares: list[float | None], lines: list[str]
) -> None:
    shown = _texts(_status(findings=[_finding(number, share) for number, share in enumerate(shares)]))
    start = shown.index(f"findings   {len(shares)} open") + 1
    assert [line.strip() for line in shown[start:-1]] == lines


def test_names_of_others_move_no_cursor() -> None:
    hostile = "evil\x1b[2J\nfindings   0 open"
    behind = [{"instance_id": hostile, "applied_version": 4, "last_seen_at": datetime.now(UTC).isoformat()}]
    moved = [{"model": hostile, "complexity": "simple", "score_before": 2.0, "score_now": 2.3}]
    status = _status(
        findings=[_finding(1, 0.5, f"10 of 100 outcomes of {hostile}")], instances_behind=behind, moved_scores=moved,
        dead_letters={hostile: 1}, workers=[_worker(hostile)],
        frozen={"at": datetime.now(UTC).isoformat(), "reason": hostile},
    )  # fmt: skip
    lines = _texts(status)
    assert all(line.isprintable() for line in lines)
    assert sum(r"evil\x1b[2J\nfindings" in line for line in lines) == 6


def test_what_needs_attention_is_emphasized_and_stays_so_when_it_is_wrapped() -> None:
    late = {"check": "learning", "found": "the learner is late: last run 2 hours ago", "advice": "look"}
    frozen = {"at": datetime.now(UTC).isoformat(), "reason": ""}
    lines = list(status_lines(_status(warnings=[late], frozen=frozen)))
    emphasized = [line.text.strip() for line in lines if line.style == Style.WARNING]
    assert emphasized == [late["found"], "FROZEN 0 seconds ago: no reason given"]
    wrapped = fitted(lines, 40, 23)
    emphasized = [line.text for line in wrapped if line.style == Style.WARNING]
    assert "".join(emphasized).count("late") == 1
    assert len(emphasized) > 2


def test_only_running_workers_are_named_and_those_that_stopped_are_counted() -> None:
    workers = [_worker("b"), _worker("a"), _worker("dead", hours_ago=3.2), _worker("a"), _worker("gone", hours_ago=9)]
    assert _texts(_status(workers=workers))[:3] == [
        "workers    3 workers on a, b",
        "           2 stopped, last seen 3 hours ago",
        "queue      0 messages, 0 sent and 0 ingested a second",
    ]
    none = [
        {
            "check": "daemon",
            "found": "no daemon is running that ingests events; the last worker, on dead, was seen 3 hours ago",
        }
    ]
    assert _texts(_status(workers=workers[2:3], warnings=none))[:2] == [
        "workers    no daemon is running that ingests events; the last worker, on dead, was seen 3 hours ago",
        "queue      0 messages, 0 sent and 0 ingested a second",
    ]
