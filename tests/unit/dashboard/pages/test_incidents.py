"""The view of incidents: pure."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.pages.incident_timeline import draw_timeline
from centralcloud.dashboard.pages.incidents import (
    closed_incidents,
    headline,
    open_incidents,
    week,
)
from centralcloud.dashboard.pages.noticing import Noticed, who_noticed
from centralcloud.dashboard.sources.activity import PastAction
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.incidents import Cause, ModelVersion

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def _finding(
    number: int,
    kind: str = "slow",
    subject: str = "m/complex",
    *,
    share: float | None = 0.1,
    ago: float = 3,
    lasted: float | None = None,
) -> Finding:
    """A finding that was opened some hours ago."""
    model, _, complexity = subject.rpartition("/")
    opened = NOW - timedelta(hours=ago)
    closed = None if lasted is None else opened + timedelta(hours=lasted)
    details = json.dumps({"model": model, "complexity": complexity} if model else {})
    return Finding(number, kind, subject, f"message {number}", details, share, opened, NOW, closed)


def test_news_and_findings_that_are_avoided_already_do_not_count_as_incidents() -> None:
    found = headline(
        [
            _finding(1, share=0.4, ago=1),
            _finding(2, ago=3),
            _finding(3, share=0.001, ago=50),
            _finding(4, "newcomer", ago=90),
        ],
        [],
    )
    assert (found.state, found.number, found.oldest_at) == ("bad", 2, NOW - timedelta(hours=3))
    assert (found.worst, found.small, found.news) == ("Slow: m for complex tasks", 1, 1)


def test_small_findings_that_concern_much_together_are_not_no_incident() -> None:
    few, many = ([_finding(number, share=0.009) for number in range(count)] for count in (5, 6))
    assert [(found.state, found.small) for found in (headline(few, []), headline(many, []))] == [
        ("good", 5),
        ("look", 6),
    ]
    assert headline(many, []).together == pytest.approx(0.054)
    assert headline([_finding(number, share=0.009) for number in range(30)], []).state == "bad"


def test_without_an_open_incident_it_says_when_the_last_one_was_closed() -> None:
    found = headline([], [_finding(1, ago=9, lasted=2), _finding(2, ago=30, lasted=1)])
    assert (found.state, found.number, found.last_closed_at) == ("good", 0, NOW - timedelta(hours=7))


def test_an_open_incident_shows_the_changes_before_it_the_newest_first() -> None:
    finding = _finding(7)
    minutes = [finding.opened_at - timedelta(minutes=minute) for minute in (1, 5, 9, 12)]
    causes = [
        Cause(7, "score", minutes[1], "m", "complex", "pin", 3.0, 2.0, 12),
        Cause(7, "action", minutes[2], "m/complex", None, "pin", None, None, 4),
        Cause(7, "configuration", minutes[3], "ana as role", None, "why", None, 2.0, 9),
        Cause(8, "action", minutes[0], "other", None, "freeze", None, None, 5),
    ]
    found = open_incidents([finding], [], causes, [ModelVersion(7, "m", "m-2026-11", minutes[0])])
    (incident,) = found.incidents
    assert [(each.text, each.url) for each in incident.triggers] == [
        ("m was first asked as m-2026-11", None),
        ("The score of m for complex tasks was pinned from 3.00 to 2.00", "/pair?model=m&complexity=complex"),
        ("An operator pinned a score: m for complex tasks", "/activity#action-4"),
        ("ana changed 2 entries of the configuration, to version 9", "/activity?action=change_configuration"),
    ]


def test_another_finding_just_before_is_a_change_and_one_long_before_is_not() -> None:
    finding = _finding(1)
    near = _finding(2, "provider_surge", "provider", ago=3.1)
    far = _finding(3, "provider_surge", "provider-2", ago=4)
    (incident,) = open_incidents([finding], [finding, near, far], (), ()).incidents
    assert [each.url for each in incident.triggers] == ["/incidents#finding-2"]


def test_before_the_changes_were_read_it_does_not_say_that_there_were_none() -> None:
    assert not open_incidents([_finding(1)], [], None, ()).incidents[0].is_traced
    assert open_incidents([_finding(1)], [], (), ()).incidents[0].is_traced


def test_those_that_learning_avoids_stand_apart() -> None:
    found = open_incidents([_finding(1, share=0.001), _finding(2, share=0.5), _finding(3, share=None)], [], (), ())
    assert [each.finding_id for each in found.incidents] == [2, 3]
    assert [each.finding_id for each in found.avoided] == [1]


def test_closed_ones_are_filtered_by_kind_and_by_the_words_of_their_subject() -> None:
    recent = [
        _finding(1, ago=9, lasted=1),
        _finding(2, "low_success_rate", "n/simple", ago=5, lasted=2),
        _finding(3),
    ]
    assert [each.finding_id for each in closed_incidents(recent, {}).incidents] == [2, 1]
    assert [each.finding_id for each in closed_incidents(recent, {"kind": "slow"}).incidents] == [1]
    assert [each.finding_id for each in closed_incidents(recent, {"subject": "N for simple"}).incidents] == [2]
    assert closed_incidents(recent, {"kind": "<script>"}).kind == ""
    assert closed_incidents(recent, {}).incidents[0].lasted == "2 hours"


def test_the_timeline_is_the_same_until_its_end_moves_a_step() -> None:
    zone = ZoneInfo("UTC")
    first = draw_timeline([_finding(1)], {}, NOW, zone)
    assert draw_timeline([_finding(1)], {}, NOW + timedelta(minutes=10), zone) == first
    assert first.words == "1 finding in 7 days, 1 still open"
    assert "Slow" in first.chart
    assert draw_timeline([_finding(1, ago=30, lasted=1)], {"range": "24h"}, NOW, zone).words.startswith("0 findings")


def test_the_week_counts_what_was_opened_in_it() -> None:
    recent = [_finding(1, ago=5, lasted=1), _finding(2, ago=40, lasted=3), _finding(3, ago=10), _finding(4, ago=200)]
    opened, half, longest, noticed = week(recent, [], NOW)
    assert (opened.value, opened.note) == ("3", "1 in the 7 days before")
    assert (half.value, longest.value, longest.note) == ("2 hours", "3 hours", "1 still open")
    assert noticed.note == "no operator acted on any of them"


def _action(subject: str, ago: float, action: str = "pin") -> PastAction:
    return PastAction(1, NOW - timedelta(hours=ago), action, subject)


def test_the_first_action_on_the_same_model_tells_who_noticed_first() -> None:
    finding = _finding(1, ago=3, lasted=2)
    cases: list[tuple[list[Any], Noticed]] = [
        ([], Noticed(0, 0, 1)),
        ([_action("m/complex", 2)], Noticed(1, 0, 0)),
        ([_action("m", 2, "retire_model")], Noticed(1, 0, 0)),
        ([_action("m/complex", 3.5), _action("m/complex", 2)], Noticed(0, 1, 0)),
        ([_action("scores", 2, "freeze")], Noticed(1, 0, 0)),
        ([_action("m/complex", 0.5)], Noticed(0, 0, 1)),
        ([_action("other/complex", 2)], Noticed(0, 0, 1)),
    ]
    for actions, expected in cases:
        assert who_noticed([finding], actions, NOW) == expected, actions
