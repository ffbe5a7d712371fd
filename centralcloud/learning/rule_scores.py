"""The scores that rules gave, with the state behind each: read and store them in `rule_scores`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts.task_score import TaskScore
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import RuleResult, RuleState, Score
from centralcloud.runtime.postgres.query import Query

_RULE_SCORES = Query(__package__, "rule_scores", row=dict)
_UPSERT_RULE_SCORE = Query(__package__, "upsert_rule_score")


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything that a score follows from, besides the evidence.

    Attributes:
        state: the state that the rule left with the score.
        excluded: the instances whose evidence was left out.
        recomputable: whether the rule can compute the score again. It cannot if an operator set the score, reset the pair,
            or merged two models since.
    """

    state: RuleState = field(default_factory=RuleState)
    excluded: tuple[str, ...] = ()
    recomputable: bool = False

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "Basis":
        """Return the basis in a row of `rule_scores` or `model_scores`; other columns are ignored."""
        state = RuleState(
            evidence_from=columns["evidence_from"],
            earlier_boundaries=tuple(columns["earlier_boundaries"]),
            payload=columns["state_payload"],
        )
        return cls(state, tuple(columns["excluded"]), columns["recomputable"])

    def to_columns(self) -> dict[str, Any]:
        """Return the columns that `from_columns` reads, as parameters of a query."""
        return {**state_columns(self.state), "excluded": list(self.excluded), "recomputable": self.recomputable}


#: The basis of a score that an operator has set.
NO_BASIS = Basis()


@dataclass(frozen=True, slots=True)
class RuleScore:
    """The score that a rule gave a pair last, and its basis."""

    score: Score
    basis: Basis


#: By rule, then by pair.
RuleScores = dict[str, dict[Pair, RuleScore]]


def read_rule_scores(connection: psycopg.Connection[Any]) -> RuleScores:
    """Read the last score of every rule for every pair."""
    stored: RuleScores = {}
    for row in _RULE_SCORES.all(connection):
        score = Score.from_columns(row)
        stored.setdefault(row["rule"], {})[score.pair] = RuleScore(score, Basis.from_columns(row))
    return stored


def new_rule_scores(result: RuleResult, excluded: frozenset[str]) -> dict[Pair, RuleScore]:
    """Return the scores of a run that left out the evidence of `excluded` instances."""
    names = tuple(sorted(excluded))
    return {
        score.pair: RuleScore(score, Basis(result.states.get(score.pair, RuleState()), names, recomputable=True))
        for score in result.scores
    }


def changed_rule_scores(
    result: RuleResult, excluded: frozenset[str], stored: Mapping[Pair, RuleScore]
) -> dict[Pair, RuleScore]:
    """Return those of `new_rule_scores` that differ from the `stored` ones; without new outcomes they are equal."""
    new = new_rule_scores(result, excluded)
    return {pair: each for pair, each in new.items() if _differs(each, stored.get(pair))}


def store_rule_scores(
    connection: psycopg.Connection[Any],
    rule: str,
    changed: Mapping[Pair, RuleScore],
    *,
    run_id: int,
    now: datetime,
) -> int:
    """Store the scores that have changed. Return how many there are."""
    rows = [
        {
            **each.score.to_columns(),
            **each.basis.to_columns(),
            "rule": rule,
            "run_id": run_id,
            "now": now,
            "task_types": Jsonb({name: _task_columns(task) for name, task in each.score.task_types.items()}),
        }
        for each in changed.values()
    ]
    if rows:
        _UPSERT_RULE_SCORE.run_each(connection, rows)
    return len(rows)


def state_columns(state: RuleState) -> dict[str, Any]:
    """Return the columns that hold a state, as parameters of a query."""
    return {
        "evidence_from": state.evidence_from,
        "earlier_boundaries": list(state.earlier_boundaries),
        "state_payload": Jsonb(state.payload),
    }


def _task_columns(task: TaskScore) -> dict[str, Any]:
    return {**task.to_json(), "samples": task.samples}


def _differs(new: RuleScore, stored: RuleScore | None) -> bool:
    if stored is None:
        return True
    through_slice = stored.score.through_slice
    return stored.basis != new.basis or stored.score != replace(new.score, through_slice=through_slice)
