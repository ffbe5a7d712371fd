"""The verdict weighs every signal by what it concerns."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from centralcloud.dashboard.pages.verdict import Evidence, as_far_as_known, judge
from centralcloud.dashboard.sources.control import Control
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.fleet import FleetState
from centralcloud.dashboard.sources.queue import QueueState
from centralcloud.dashboard.sources.traffic import PairTraffic

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def a_fleet(**values: Any) -> FleetState:
    """A fleet of five instances, all on the newest scores."""
    healthy = FleetState(
        version=700,
        instances=5,
        behind=0,
        furthest_behind=None,
        versions_behind=None,
        workers=1,
        worker_seen_at=NOW,
        dead_letters=0,
        new_dead_letters=0,
        dead_letter_field=None,
        ingested=10_000,
        last_run_at=NOW,
    )
    return healthy._replace(**values)


def a_queue(**values: Any) -> QueueState:
    """An empty queue."""
    return QueueState(0, False, 0, 0, 0, None, None, 8192)._replace(**values)


def a_finding(**values: Any) -> Finding:
    """An open finding about a pair."""
    details = '{"model": "ember", "complexity": "complex"}'
    finding = Finding(7, "low_success_rate", "ember/complex", "half of them fail", details, 0.5, NOW, NOW, None)
    return finding._replace(**values)


def a_day(rates: list[float], outcomes: int = 1000) -> tuple[PairTraffic, ...]:
    """Parts of half an hour until now, with these success rates."""
    first = NOW - timedelta(minutes=30 * len(rates))
    parts = []
    for place, rate in enumerate(rates):
        successes = round(rate * outcomes)
        start = first + timedelta(minutes=30 * place)
        parts.append(PairTraffic(start, "ember", "complex", outcomes, successes, outcomes - successes))
    return tuple(parts)


def verdict_of(**values: Any) -> Any:
    """The verdict on a healthy fleet, but for some values."""
    evidence = Evidence(a_fleet(), a_queue(), Control(None, None), (), a_day([0.98] * 24), NOW)
    return judge(evidence._replace(**values))


def test_a_healthy_fleet_is_healthy_and_says_how_it_converged() -> None:
    verdict = verdict_of()
    assert (verdict.state, verdict.headline) == ("good", "The fleet is healthy")
    assert verdict.text == "98.0% of the outcomes of the last day succeed. All 5 instances use the newest scores."


@pytest.mark.parametrize(
    ("gap", "title"),
    [
        ({"is_old": True, "has_gaps": False}, "It is not known how the fleet is now"),
        ({"is_old": False, "has_gaps": True}, "It is not known whether the fleet is healthy"),
    ],
)
def test_what_cannot_be_read_is_not_called_healthy(gap: dict[str, bool], title: str) -> None:
    found = as_far_as_known(verdict_of(), **gap)
    assert (found.state, found.headline) == ("look", title)
    assert "The fleet is healthy" in found.text, "as of before, or in the rest"
    broken = as_far_as_known(verdict_of(fleet=a_fleet(workers=0)), **gap)
    assert broken.state == "bad"
    assert as_far_as_known(verdict_of(), is_old=False, has_gaps=False) == verdict_of()


def test_a_fleet_without_outcomes_is_not_healthy() -> None:
    empty = verdict_of(fleet=a_fleet(ingested=0, instances=0, last_run_at=None), traffic=())
    assert (empty.state, empty.headline, empty.command) == ("empty", "No outcomes yet", "instance-agent serve")
    stopped = verdict_of(fleet=a_fleet(ingested=0, workers=0, instances=0), traffic=())
    assert stopped.text == "No daemon is running on this database, and no event was ingested yet."
    assert stopped.command == "centralcloud run"


def test_many_small_findings_of_one_kind_are_one_signal() -> None:
    small = [a_finding(finding_id=number, traffic_share=0.0094) for number in range(15)]
    found = verdict_of(findings=(*small, a_finding(kind="slow", traffic_share=0.009)))
    assert [(each.state, each.title, each.text, each.url) for each in found.signals] == [
        (
            "look",
            "Low success rate",
            "15 findings concern less than 1% of the traffic each, and 14.1% together.",
            "/incidents",
        )
    ]
    assert verdict_of(findings=small[:5]).state == "good"
    assert verdict_of(findings=2 * small).state == "bad"
    news = [a_finding(kind="newcomer", traffic_share=0.009) for _ in range(50)]
    assert verdict_of(findings=news).state == "good"


def test_a_daemon_that_was_seen_later_than_now_has_not_been_gone_for_zero_seconds() -> None:
    found = verdict_of(fleet=a_fleet(workers=0, worker_seen_at=NOW + timedelta(hours=1)))
    assert found.signals[0].text == "Nothing is ingested."
    assert found.signals[0].at is None


@pytest.mark.parametrize(
    ("values", "state", "title"),
    [
        ({"fleet": a_fleet(workers=0)}, "bad", "No daemon is running"),
        ({"fleet": a_fleet(behind=2, furthest_behind="eu-1", versions_behind=9)}, "look", "Instances are behind"),
        ({"fleet": a_fleet(dead_letters=3, new_dead_letters=3)}, "look", "New dead letters"),
        ({"fleet": a_fleet(last_run_at=NOW - timedelta(hours=3))}, "look", "The learner is late"),
        ({"queue": a_queue(messages=500, oldest_waiting_seconds=90.0)}, "look", "The queue is behind"),
        ({"queue": a_queue(messages=500, oldest_waiting_seconds=900.0)}, "bad", "The queue is behind"),
        ({"control": Control(NOW, "a provider is down")}, "look", "Learning is frozen"),
        ({"findings": (a_finding(),)}, "bad", "Low success rate"),
        ({"findings": (a_finding(traffic_share=0.05),)}, "look", "Low success rate"),
        ({"findings": (a_finding(traffic_share=None),)}, "look", "Low success rate"),
        ({"traffic": a_day([0.98] * 22 + [0.94] * 2)}, "look", "Fewer tasks succeed"),
        ({"traffic": a_day([0.98] * 22 + [0.7] * 2)}, "bad", "Fewer tasks succeed"),
        ({"traffic": a_day([0.98] * 20, 100)[:10]}, "look", "No new outcomes"),
    ],
)
def test_each_signal_changes_the_verdict(values: dict[str, Any], state: str, title: str) -> None:
    verdict = verdict_of(**values)
    assert [(each.state, each.title) for each in verdict.signals] == [(state, title)]
    assert verdict.state == state


@pytest.mark.parametrize(
    "values",
    [
        {"findings": (a_finding(traffic_share=0.002),)},  # learning avoids the pair already
        {"findings": (a_finding(kind="newcomer", traffic_share=0.3),)},
        {"fleet": a_fleet(dead_letters=12)},  # known since more than an hour
        {"queue": a_queue(messages=900, oldest_waiting_seconds=2.0)},
        {"queue": None},
        {"traffic": (), "queue": a_queue(messages=9)},  # events come, of which no slice is closed yet
        {"traffic": a_day([0.98] * 22 + [0.94] * 2, 20)},  # by chance
        {"traffic": a_day([0.7] * 22 + [0.98] * 2)},  # better
    ],
)
def test_what_concerns_little_does_not_cry_wolf(values: dict[str, Any]) -> None:
    assert verdict_of(**values).state == "good"


def test_the_worst_signal_comes_first_and_heads_the_page() -> None:
    down = a_finding(finding_id=8, kind="provider_surge", message="down", traffic_share=0.6)
    findings = (a_finding(traffic_share=None), down)
    verdict = verdict_of(fleet=a_fleet(behind=5, furthest_behind="a", versions_behind=1), findings=findings)
    assert [each.state for each in verdict.signals] == ["bad", "look", "look"]
    assert verdict.headline == "Provider fails"
    assert verdict.text.endswith("succeed. Down.")
    two = verdict_of(fleet=a_fleet(workers=0), findings=findings)
    assert two.headline == "2 things are broken"


def test_several_things_are_counted_in_words() -> None:
    one = verdict_of(control=Control(NOW, None))
    assert one.headline == "1 thing needs a look"
    assert one.text.endswith("No learned score is published: no reason given.")
    behind = a_fleet(behind=1, furthest_behind="a", versions_behind=1)
    assert verdict_of(control=Control(NOW, None), fleet=behind).headline == "2 things need a look"


def test_a_finding_leads_to_what_it_is_about() -> None:
    (pair,) = verdict_of(findings=(a_finding(),)).signals
    assert pair.url == "/pair?model=ember&complexity=complex"
    liar = a_finding(kind="quarantined_instance", subject="eu 1&2", details="{}")
    assert verdict_of(findings=(liar,)).signals[0].url == "/fleet?instance=eu+1%262"
    other = a_finding(details="{}")
    assert verdict_of(findings=(other,)).signals[0].url == "/incidents#finding-7"


def test_the_verdict_is_made_of_sentences_without_statistics() -> None:
    message = "the success rate of ember for complex tasks fell from 0.98 to 0.40 (G 139, over 17); it is 0.41 now"
    text = verdict_of(findings=(a_finding(kind="change_alarm", message=message),)).text
    assert text.endswith("succeed. The success rate of ember for complex tasks fell from 0.98 to 0.40; it is 0.41 now.")
    name = verdict_of(findings=(a_finding(message="ember took 9,000 ms on average"),)).text
    assert name.endswith("succeed. ember took 9,000 ms on average."), "a name keeps its letters"
