"""The page of one pair."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.pages.overview import shares
from centralcloud.dashboard.pages.pair import commands, heading, share
from centralcloud.dashboard.pages.pair_history import events, score_history
from centralcloud.dashboard.pages.pair_reasons import reasons, rule_rows
from centralcloud.dashboard.sources.history import PublishedScore, ScoreStep
from centralcloud.dashboard.sources.pair import Opinion, PairAction, PairState
from centralcloud.dashboard.sources.traffic import PairTraffic

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ALARM = "x; the mean changed then from 0.95 to 0.60 (G is 39, above the threshold 13)"


def an_opinion(rule: str = "adaptive", score: float = 4.5, **changed: object) -> Opinion:
    opinion = Opinion(rule, score, "because", 100, 0.95, 0.95, 0.9, 0.97, 102.0, 0.01, 0.03, 0.02, 1500.0, None, 7, NOW)
    return opinion._replace(**changed)  # type: ignore[arg-type]


def a_state(**changed: object) -> PairState:
    state = PairState(an_opinion(), (an_opinion(),), 4.5, None, None, None, None, None, None, ())
    return state._replace(**changed)  # type: ignore[arg-type]


def a_step(version: int, score: float = 4.0, **changed: object) -> ScoreStep:
    at = NOW - timedelta(hours=10 - version)
    step = ScoreStep(version, at, score, "adaptive", "steady", 100, 0.9, 0.85, 0.95, 0.02, 0.0, False, "")
    return step._replace(**changed)  # type: ignore[arg-type]


def text_of(command_text: str, state: PairState, model: str = "a", history: int = 2) -> str | None:
    rows = [
        PublishedScore(7 - n, NOW, model, "simple", 1.0, 2.0, "adaptive", "steady", "", 1, False)
        for n in range(history)
    ]
    found = commands(model, "simple", state, rows, NOW)
    return next((each.command for each in found if each.text.startswith(command_text)), None)


def test_badges_say_what_fixes_the_score() -> None:
    state = a_state(pin_score=4.5, pinned_until=NOW + timedelta(hours=1), held_since=NOW, retired_at=NOW, frozen_at=NOW)
    traffic = [PairTraffic(NOW, "a", "simple", 10, 9, 1)]
    shown = heading("a", "simple", state, traffic, {"simple", "complex"}, NOW)
    assert [badge.text for badge in shown.badges] == [
        "got the most simple tasks since",
        "pinned at 4.500 until",
        "held after a rollback",
        "retired",
        "learning is frozen",
    ]
    assert [(each.complexity, each.current) for each in shown.siblings] == [("simple", True), ("complex", False)]


def test_a_pin_whose_time_has_passed_is_none() -> None:
    state = a_state(pin_score=4.5, pinned_until=NOW)
    assert heading("a", "simple", state, [], {"simple"}, NOW).badges == ()
    assert text_of("Pin it", state) is not None


def test_commands_quote_names_and_name_the_pair() -> None:
    assert text_of("Explain", a_state(), model="it's; rm") == "centralcloud scores explain 'it'\"'\"'s; rm' simple"
    assert text_of("Explain", a_state(), model="-x") == "centralcloud scores explain -- -x simple"
    assert text_of("Pin it", a_state()) == (
        "centralcloud scores pin --until 2026-12-01T13:00Z --reason 'why' a simple 4.500"
    )


def test_the_rollback_goes_to_the_version_before_the_one_that_stands() -> None:
    assert text_of("Roll all scores back", a_state()) == "centralcloud scores rollback --to 6 --reason 'why'"
    assert text_of("Roll all scores back", a_state(), history=1) is None


def test_a_pinned_pair_is_unpinned_and_a_retired_model_reinstated() -> None:
    assert text_of("Remove the pin", a_state(pin_score=1.0)) is not None
    assert text_of("Pin it", a_state(pin_score=1.0)) is None
    assert text_of("Reinstate", a_state(retired_at=NOW)) == "centralcloud models retire --undo a"
    assert text_of("Pin it", a_state(retired_at=NOW)) is None


def test_parts_add_up_to_the_score() -> None:
    shown = reasons(a_state(), "adaptive", "The score")
    assert shown is not None
    assert "The score: 4.50 is 4.75 for success, less 0.15 for latency and 0.10 for cost" in str(shown.chart)
    assert shown.checks.startswith("1.00% of the tasks")


def test_a_score_of_the_threshold_rule_has_no_parts() -> None:
    opinion = an_opinion("threshold", mean=None, low=None, high=None, latency_penalty=None, cost_penalty=None)
    shown = reasons(a_state(published=opinion), "threshold", "The score")
    assert shown is not None
    assert shown.chart is None
    assert "by steps" in shown.text


def test_a_pinned_score_is_explained_by_what_the_rule_would_publish() -> None:
    pinned = an_opinion("pin", 1.0, mean=None, low=None, high=None)
    shown = reasons(a_state(published=pinned), "adaptive", "The score")
    assert shown is not None
    assert "The rule adaptive would publish 4.50" in shown.text
    assert shown.chart is not None


def test_each_rule_says_its_score_against_the_published_one() -> None:
    threshold = an_opinion("threshold", 5.0, mean=None, low=None, high=None)
    rows = rule_rows(a_state(rules=(threshold, an_opinion())), "adaptive")
    assert [(row.rule, row.role, row.difference, row.own) for row in rows] == [
        ("adaptive", "active", 0.0, True),
        ("threshold", "shadow", 0.5, False),
    ]
    assert rows[1].low is not None
    assert rows[1].low == pytest.approx(0.9, abs=0.02), "the Wilson interval of 95 of 100"


def test_events_are_numbered_from_the_oldest_and_say_who_did_it() -> None:
    steps = [
        a_step(1),
        a_step(2, alarm=True, reason=ALARM),
        a_step(3, rule="rollback", reason="rolled back to version 1: 2 -> 4; then: long"),
    ]
    actions = [
        PairAction(2, NOW, "eve as root", "freeze", "scores", "night", None),
        PairAction(1, NOW - timedelta(hours=7), "ann", "rollback", "scores", "bad day", 5),
    ]
    found = events(steps, actions)
    assert [(kind, title) for _, kind, title, _, _ in found] == [
        ("alarm", "Sudden change"),
        ("rollback", "Rolled back"),
        ("hold", "Learning frozen"),
    ]
    assert found[0][3].startswith("the success rate fell from 0.95 to 0.60")
    assert found[1][3] == "rolled back to version 1: 2 -> 4 (ann: bad day)"
    assert "eve as root: night" in found[2][3]


def test_a_young_pair_is_drawn_from_its_first_score_and_bands_are_scores() -> None:
    history = score_history([a_step(9), a_step(10)], [], {"range": "7d"}, "It", NOW, ZoneInfo("UTC"))
    assert history.borrowed == ()
    assert "<td>4.15</td>" in str(history.chart), "5 x (0.85 - 0.02)"
    assert [(each.title, each.current) for each in history.ranges][2] == ("7 d", True)
    assert "range=30d" in history.ranges[3].url


def test_the_band_of_a_rule_without_intervals_is_borrowed_and_said_so() -> None:
    step = a_step(9, rule="threshold", low=None, high=None, latency_penalty=None, cost_penalty=None)
    history = score_history([step], [], {}, "It", NOW, ZoneInfo("UTC"))
    assert history.borrowed == ("threshold",)
    assert "<td>4.20</td>" in str(history.chart), "5 x the lower end of the 90% Wilson interval of 90 of 100"


def test_the_shares_of_the_overview_are_those_of_its_viewer() -> None:
    traffic = (PairTraffic(NOW, "a", "simple", 50, 50, 0), PairTraffic(NOW, "a", "medium", 50, 50, 0))
    for zone, time in (("Asia/Kolkata", "17:30"), ("UTC", "12:00"), ("Asia/Kolkata", "17:30")):
        for complexity in ("simple", "medium"):
            shown = shares(traffic, complexity, NOW, ZoneInfo(zone))
            assert shown.complexity == complexity
            assert f"<td>30 Nov {time}</td>" in str(shown.chart)


def test_the_share_of_traffic_is_that_of_the_newest_part_of_the_day() -> None:
    early = NOW - timedelta(hours=1)
    traffic = [
        PairTraffic(early, "a", "simple", 50, 50, 0),
        PairTraffic(early, "b", "simple", 50, 50, 0),
        PairTraffic(NOW, "a", "simple", 1, 1, 0),
        PairTraffic(NOW, "b", "simple", 3, 3, 0),
        PairTraffic(NOW, "b", "complex", 99, 99, 0),
    ]
    shown = share(traffic, "a", "simple", NOW, ZoneInfo("Asia/Kolkata"))
    assert (shown.now, shown.decisions) == (0.25, 51)
    assert "<td>30 Nov 17:30</td>" in str(shown.chart), "in the viewer's zone"
    assert share(traffic, "a", "medium", NOW, ZoneInfo("UTC")).chart is None
