"""Which model gets the tasks, and what stands between the rule and the routers."""

from datetime import UTC, datetime, timedelta

import pytest

from centralcloud.dashboard.pages.leaders import avoided_pairs, inactive_models, leader_now, override_of
from centralcloud.dashboard.pages.overview import attention, matrix
from centralcloud.dashboard.pages.verdict import Verdict
from centralcloud.dashboard.sources.control import Control
from centralcloud.dashboard.sources.fleet import FleetState
from centralcloud.dashboard.sources.scores import PairScore
from centralcloud.dashboard.sources.targets import Registered
from centralcloud.dashboard.sources.traffic import PairTraffic

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
PART = timedelta(minutes=30)


def a_pair(model: str, score: float, *, pinned: bool = False, held: bool = False, low: float = 0.9) -> PairScore:
    return PairScore(model, "simple", score, 1, NOW, "adaptive", 100, low, low, low + 0.02, pinned, None, held)


def a_part(model: str, decisions: int, parts_ago: int = 0, complexity: str = "simple") -> PairTraffic:
    return PairTraffic(NOW - parts_ago * PART, model, complexity, decisions, decisions, 0)


def test_the_leader_is_counted_over_a_time_that_is_named() -> None:
    day = [a_part("old", 900, ago) for ago in range(4, 48)]
    found = leader_now(
        [*day, *(a_part("new", count, ago) for ago, count in enumerate((30, 1, 1, 58))), a_part("old", 10)], "simple"
    )
    assert found is not None
    assert (found.model, found.share, found.since) == ("new", pytest.approx(0.9), NOW - 3 * PART)
    assert leader_now(day, "complex") is None


def test_a_pinned_model_and_the_one_with_the_most_tasks_are_two_facts() -> None:
    """Just after a pin another model still has the most tasks of the last two hours: both words are true, with the time."""
    pairs = [a_pair("pinned-one", 5.0, pinned=True), a_pair("other", 4.0)]
    shown = matrix(pairs, [], [a_part("other", 90), a_part("pinned-one", 10)], {}, NOW)
    notes = {row.model: cell.note for row in shown.rows for cell in row.cells if cell}
    assert notes == {"other": "most tasks", "pinned-one": "pinned"}
    assert shown.led_since == NOW
    later = matrix(pairs, [], [a_part("other", 1), a_part("pinned-one", 99)], {}, NOW)
    assert {row.model: cell.note for row in later.rows for cell in row.cells if cell} == {
        "other": "100 seen",
        "pinned-one": "pinned, most tasks",
    }


@pytest.mark.parametrize(
    ("pairs", "control", "inactive", "expected"),
    [
        ([a_pair("rule", 4.5), a_pair("other", 4.0)], None, frozenset(), None),
        (
            [a_pair("rule", 4.5), a_pair("other", 5.0, pinned=True)],
            None,
            frozenset(),
            "Routers go by the published scores of simple tasks, and there other has the highest one: other is pinned.",
        ),
        (
            [a_pair("rule", 3.0, held=True), a_pair("other", 4.0)],
            None,
            frozenset(),
            "Routers go by the published scores of simple tasks, and there other has the highest one: rule is held after a "
            "rollback.",
        ),
        (
            [a_pair("rule", 3.0), a_pair("other", 4.0)],
            Control(NOW, "why"),
            frozenset(),
            "Routers go by the published scores of simple tasks, and there other has the highest one: learning is frozen.",
        ),
        (
            [a_pair("rule", 4.5), a_pair("other", 4.0)],
            None,
            frozenset({"rule"}),
            "rule is not active in the configuration: gateways give it no simple task.",
        ),
        ([a_pair("rule", 4.5), a_pair("other", 5.0)], None, frozenset({"other"}), None),
    ],
)
def test_the_rules_choice_is_not_told_as_the_routers_choice(
    pairs: list[PairScore], control: Control | None, inactive: frozenset[str], expected: str | None
) -> None:
    assert override_of("simple", "rule", pairs, control, inactive) == expected


def test_models_that_get_no_request_are_those_of_the_configuration() -> None:
    bodies = ('{"name": "a", "status": "inactive"}', '{"name": "b", "status": "active"}', "[]")
    found = inactive_models([Registered("model", str(number), body) for number, body in enumerate(bodies)])
    assert found == {"a"}


def test_weak_pairs_with_hardly_a_task_are_named_as_avoided_without_a_finding_about_them() -> None:
    pairs = [a_pair("best", 4.8, low=0.97), a_pair("weak", 2.0, low=0.5), a_pair("close", 4.7, low=0.96)]
    traffic = [a_part("best", 995), a_part("weak", 5)]
    assert [(pair.model, share) for pair, share in avoided_pairs(pairs, traffic)] == [("weak", pytest.approx(0.005))]
    fleet = FleetState(1, 1, 0, None, None, 1, NOW, 0, 0, None, 10, NOW)
    shown = attention(Verdict("good", "", "", ()), (), fleet, pairs, traffic)
    assert shown.avoided is not None
    assert (shown.avoided.pairs, shown.avoided.share) == (
        (("weak / simple", "/pair?model=weak&complexity=simple"),),
        pytest.approx(0.005),
    )
    much = [a_part("best", 900), a_part("weak", 100)]
    assert avoided_pairs(pairs, much) == [], "it is weak, and gets a tenth"
    assert avoided_pairs([pairs[0], a_pair("weak", 2.0, low=0.5, pinned=True)], traffic) == [], "an operator decides"
