"""The choices that the rules in the shadow would make otherwise than the active one, and their share of the traffic."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import COMPLEXITIES
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import listed, percent

#: Scores that are equal when rounded to so many digits are a tie: no order is seen in them.
TIE_DIGITS: Final = 2
_MOST_NAMED: Final = 3

#: Scores by model and complexity, 0 to 5.
Scores = Mapping[tuple[str, str], float]


class RuleChoice(NamedTuple):
    """The models that lead a complexity by two rules, among the models that both have scored.

    Attributes:
        active: the leader by the active rule.
        others: the leaders by the other one, several where its scores are a tie.
    """

    complexity: str
    active: str
    others: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the active rule's leader is one of the other's."""
        return self.active in self.others


class ShadowRule(NamedTuple):
    """A rule beside the active one.

    Attributes:
        choices: for each complexity that both have scored, also those where they agree.
        traffic_share: of the decisions of 24 hours, the share of the complexities where they differ, 0 to 1; None without
            decisions.
    """

    rule: str
    choices: tuple[RuleChoice, ...]
    traffic_share: float | None

    @property
    def differing(self) -> tuple[RuleChoice, ...]:
        """The choices that the rule would make otherwise."""
        return tuple(choice for choice in self.choices if not choice.same)


class RuleChoices(NamedTuple):
    """The active rule, None before a daemon has started, and those in its shadow that have scored pairs of it."""

    active: str | None
    shadows: tuple[ShadowRule, ...]


class _RuleScore(NamedTuple):
    rule: str
    model: str
    complexity: str
    score: float


class _Decisions(NamedTuple):
    complexity: str
    decisions: int


_ACTIVE_RULE = Query(__package__, "active_rule", row=str)
_RULE_SCORES = Query(__package__, "rule_scores", row=_RuleScore)
_DECISIONS = Query(__package__, "decisions_by_complexity", row=_Decisions)


def read_active_rule(connection: psycopg.Connection[Any]) -> str | None:
    """Return the name of the rule whose scores are published; None before the first daemon has stored it."""
    return _ACTIVE_RULE.maybe(connection)


def read_rule_choices(connection: psycopg.Connection[Any]) -> RuleChoices:
    """Read the scores of all rules, and compare those in the shadow with the active one."""
    active = read_active_rule(connection)
    by_rule: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for row in _RULE_SCORES.all(connection):
        by_rule[row.rule][row.model, row.complexity] = row.score
    mine = by_rule.pop(active or "", None)
    if active is None or mine is None:
        return RuleChoices(active, ())
    decisions = {row.complexity: row.decisions for row in _DECISIONS.all(connection)}
    found = (compare_choices(rule, mine, scores, decisions) for rule, scores in sorted(by_rule.items()))
    return RuleChoices(active, tuple(shadow for shadow in found if shadow.choices))


def compare_choices(rule: str, active: Scores, other: Scores, decisions: Mapping[str, int]) -> ShadowRule:
    """Compare the leaders by the active rule with those by another. `decisions`: of 24 hours, by complexity."""
    choices = []
    for complexity in COMPLEXITIES:
        models = [model for model, each in active if each == complexity and (model, complexity) in other]
        if models:
            leader = max(models, key=lambda model: (active[model, complexity], model))
            choices.append(RuleChoice(complexity, leader, _leaders(models, complexity, other)))
    total = sum(decisions.values())
    differing = sum(decisions.get(choice.complexity, 0) for choice in choices if not choice.same)
    return ShadowRule(rule, tuple(choices), differing / total if total else None)


def _leaders(models: Sequence[str], complexity: str, scores: Scores) -> tuple[str, ...]:
    rounded = {model: round(scores[model, complexity], TIE_DIGITS) for model in models}
    best = max(rounded.values())
    return tuple(sorted(model for model in models if rounded[model] == best))


def in_words(shadow: ShadowRule) -> str:
    """Return a sentence: "adaptive would choose otherwise for 31.0% of traffic: b, not a (complex)"."""
    if not shadow.differing:
        return f"{shadow.rule} would choose the same models"
    traffic = "" if shadow.traffic_share is None else f" for {percent(shadow.traffic_share)} of traffic"
    chosen = "; ".join(
        f"{listed(choice.others, _MOST_NAMED)}, not {choice.active} ({choice.complexity})"
        for choice in shadow.differing
    )
    return f"{shadow.rule} would choose otherwise{traffic}: {chosen}"


def switch_command(rule: str) -> str:
    """Return the command that publishes the scores of another rule, as it stands in a sentence."""
    return f"`centralcloud settings set rule {rule}`"
