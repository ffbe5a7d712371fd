"""The limits of a run: it publishes neither a large move of the whole fleet nor scores that are not valid."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from msgspec.structs import replace as replace_part
from support.events import outcomes, send
from support.servers import execute

from centralcloud.ingest.drain import drain
from centralcloud.learning.evidence import Evidence, Pair, RecentOutcomes
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Quarantine, RuleResult, RuleState, Score, States
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.learning.safety import SafetyLimits
from centralcloud.runtime.postgres.database import Database

MODELS = "abcde"
IngestOutcomes = Callable[..., None]


@pytest.fixture
def ingest(database: Database, database_url: str) -> IngestOutcomes:
    """Ingest outcomes of some models: (successes, failures)."""

    def take(models: str, successes: int, failures: int) -> None:
        for model in models:
            send(database_url, outcomes(successes, failures, selected_model=model))
        drain(database, batch_size=1000)

    return take


def published(url: str) -> int:
    return execute(url, "SELECT count(*) FROM pgmq.q_model_score_updates")[0][0]


def kept(url: str, rule: str) -> list[tuple]:
    query = "SELECT model_name, score, state, through_slice FROM rule_scores WHERE rule = %s ORDER BY model_name"
    return execute(url, query, (rule,))


def open_findings(url: str) -> dict[str, str]:
    query = "SELECT subject, message FROM findings WHERE kind = 'publication_withheld' AND closed_at IS NULL"
    return dict(execute(url, query))


def test_a_large_move_of_most_pairs_is_withheld_until_an_operator_forces_it(
    ingest: IngestOutcomes, database: Database, database_url: str
) -> None:
    learner = Learner(database, [AdaptiveRule(), ThresholdRule()])
    ingest(MODELS, 180, 20)
    assert len(learner.learn().changes) == 5
    before, shadow_before = kept(database_url, "adaptive"), kept(database_url, "threshold")

    ingest("abc", 0, 100)
    for _ in range(2):  # no evidence is used up: the next run sees the same
        run = learner.learn()
        assert run.changes == []
        (reason,) = run.withheld
        assert reason == (
            "3 of 5 pairs would move by more than 1.0: a (complex), b (complex), c (complex); expected at most 50%: "
            "`centralcloud learn --force` publishes it"
        )
        assert published(database_url) == 5
        assert kept(database_url, "adaptive") == before
        assert open_findings(database_url) == {"adaptive": reason}
    assert kept(database_url, "threshold") != shadow_before, "a shadow rule continues"
    assert learner.preview().withheld == [reason]

    forced = learner.learn(force=True)
    assert {change.model for change in forced.changes} >= {"a", "b", "c"}
    assert all(change.new_score < 1 for change in forced.changes if change.model in "abc")
    assert kept(database_url, "adaptive") != before
    assert open_findings(database_url) == {}
    assert execute(database_url, "SELECT count(*) FROM findings WHERE kind = 'publication_withheld'") == [(1,)]


@pytest.mark.parametrize(
    ("case", "limits"),
    [("two of five", SafetyLimits()), ("a wider share", SafetyLimits(moved_share=1.0))],
)
def test_a_move_within_the_limits_is_published(
    case: str, limits: SafetyLimits, ingest: IngestOutcomes, database: Database
) -> None:
    learner = Learner(database, [AdaptiveRule()], limits=limits)
    ingest(MODELS, 180, 20)
    learner.learn()
    ingest("ab" if case == "two of five" else MODELS, 0, 100)
    run = learner.learn()
    assert (run.withheld, {change.model for change in run.changes} >= {"a", "b"}) == ([], True)


def test_all_scores_of_a_small_fleet_may_move_in_one_run(ingest: IngestOutcomes, database: Database) -> None:
    learner = Learner(database, [AdaptiveRule()])
    ingest("abc", 180, 20)
    learner.learn()
    ingest("abc", 0, 100)
    assert len(learner.learn().changes) == 3


class Wild:
    """An installed rule that returns an invalid value in every score."""

    name = "wild"
    eager = False

    def __init__(self, wrong: Callable[[Score], Score]) -> None:
        self._wrong = wrong

    def exclude(self, recent: RecentOutcomes) -> list[Quarantine]:
        return []

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:
        result = AdaptiveRule().evaluate(evidence, states)
        return RuleResult(list(map(self._wrong, result.scores)), result.states)

    def recompute(self, evidence: Evidence, pair: Pair, after_slice: int, state: RuleState) -> Decimal:
        return Decimal(0)

    def reset(self, state: RuleState | None, score: Decimal, after_slice: int) -> RuleState:
        return RuleState()


WRONG = [
    (lambda score: replace(score, score=Decimal("NaN")), "found score NaN, expected 0.000 to 5.000"),
    (lambda score: replace(score, score=Decimal("Infinity")), "found score Infinity, expected 0.000 to 5.000"),
    (lambda score: replace(score, score=Decimal("5.001")), "found score 5.001, expected 0.000 to 5.000"),
    (lambda score: replace(score, score=Decimal("-0.001")), "found score -0.001, expected 0.000 to 5.000"),
    (lambda score: replace(score, score=Decimal(12345)), "found score 12345, expected 0.000 to 5.000"),
    (
        lambda score: replace(score, estimate=replace_part(score.estimate, mean=float("nan"))),
        "found mean nan, expected a number from 0 to 1",
    ),
    (
        lambda score: replace(score, estimate=replace_part(score.estimate, interval=(0.5, 1.1))),
        "found high 1.1, expected a number from 0 to 1",
    ),
    (
        lambda score: replace(score, estimate=replace_part(score.estimate, mean=1.5)),
        "found mean 1.5, expected a number from 0 to 1",
    ),
    (
        lambda score: replace(score, estimate=replace_part(score.estimate, n_eff=float("inf"))),
        "found n_eff inf, expected a finite number, 0 or more",
    ),
    (
        lambda score: replace(score, estimate=replace_part(score.estimate, probe_share=-0.1)),
        "found probe_share -0.1, expected a number from 0 to 1",
    ),
]


def test_an_invalid_score_is_never_published(ingest: IngestOutcomes, database: Database, database_url: str) -> None:
    ingest("ab", 90, 10)
    for wrong, complaint in WRONG:
        learner = Learner(database, [Wild(wrong), ThresholdRule()])
        for force in (False, True):
            run = learner.learn(force=force)
            assert run.changes == []
            assert run.withheld == [f"a (complex): {complaint}", f"b (complex): {complaint}"]
        assert open_findings(database_url) == {"wild": "; ".join(run.withheld)}
    assert published(database_url) == 0
    assert kept(database_url, "wild") == []
    assert len(kept(database_url, "threshold")) == 2


def test_invalid_scores_of_a_shadow_rule_do_not_affect_the_others(
    ingest: IngestOutcomes, database: Database, database_url: str
) -> None:
    for number, (wrong, complaint) in enumerate(WRONG, 1):
        ingest("ab", 90, 10)
        run = Learner(database, [AdaptiveRule(), Wild(wrong)]).learn()
        assert run.withheld == []
        evaluated = execute(database_url, "SELECT DISTINCT based_on_samples FROM rule_scores WHERE rule = 'adaptive'")
        assert evaluated == [(100 * number,)]
        assert complaint in open_findings(database_url)["wild"]
    assert kept(database_url, "wild") == []


@dataclass(frozen=True)
class Broken(ThresholdRule):
    """A rule with a bug, as an installed rule may have."""

    name: str = "broken"
    spoil: Callable[[RuleResult], RuleResult] = lambda result: result

    def evaluate(self, evidence: Evidence, states: States) -> RuleResult:
        return self.spoil(super().evaluate(evidence, states))


def _raise(_result: RuleResult) -> RuleResult:
    raise ZeroDivisionError("division by zero")


def _spoil(**changes: object) -> Callable[[RuleResult], RuleResult]:
    return lambda result: RuleResult([replace(score, **changes) for score in result.scores], result.states)


@pytest.mark.parametrize(
    "spoil",
    [
        _raise,
        _spoil(score=3.0),
        _spoil(score=Decimal("3.00001")),
        _spoil(reason="nothing\0more"),
        lambda result: RuleResult(result.scores, dict.fromkeys(result.states, RuleState(evidence_from=0.5))),
        lambda result: RuleResult(result.scores, dict.fromkeys(result.states, RuleState(earlier_boundaries=(-1,)))),
        lambda result: RuleResult(result.scores, dict.fromkeys(result.states, RuleState(payload={"x": float("nan")}))),
        lambda result: RuleResult(result.scores, {pair: {"after_slice": 1} for pair in result.states}),
    ],
)
@pytest.mark.parametrize("active", [True, False])
def test_a_rule_with_a_bug_stops_only_itself(
    database: Database, database_url: str, spoil: Callable[[RuleResult], RuleResult], active: bool
) -> None:
    send(database_url, outcomes(100, 0, complexity_score=2.0))
    drain(database, batch_size=100)
    rules = [Broken(spoil=spoil), ThresholdRule()] if active else [ThresholdRule(), Broken(spoil=spoil)]
    run = Learner(database, rules).learn()
    assert bool(run.changes) is not active
    found = execute(
        database_url, "SELECT subject FROM findings WHERE kind = 'publication_withheld' AND closed_at IS NULL"
    )
    assert found == [("broken",)]
    rules_stored = execute(database_url, "SELECT DISTINCT rule FROM rule_scores")
    assert rules_stored == [("threshold",)]
