"""The shadow rules beside the active one: where they would choose or order models otherwise. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.addresses import COMPLEXITIES, pair_url, with_parameters
from centralcloud.dashboard.pages.leaders import override_of
from centralcloud.dashboard.sources.control import Control
from centralcloud.dashboard.sources.rules import RuleScore
from centralcloud.dashboard.sources.scores import PairScore
from centralcloud.monitoring.rule_choices import TIE_DIGITS, RuleChoice, compare_choices
from centralcloud.runtime.wording import listed

_MOST_ROWS: Final = 10


class Choice(NamedTuple):
    """The models that lead a complexity by each of two rules. `same`: the active rule's is one of the other's."""

    complexity: str
    active: str
    other: str
    same: bool
    url: str


class Difference(NamedTuple):
    """A pair whose place among the models of its complexity differs. Places are texts: "1", "2 to 4"."""

    model: str
    complexity: str
    url: str
    active_score: float
    other_score: float
    active_place: str
    other_place: str
    leads: bool


class Comparison(NamedTuple):
    """A shadow rule beside the active one.

    Attributes:
        compared: pairs that both have scored.
        choices: for each complexity that both have scored.
        differing: the complexities for which they would choose differently.
        traffic_share: of the last day's decisions, the share of these complexities, 0 to 1; None without decisions.
    """

    rule: str
    compared: int
    choices: tuple[Choice, ...]
    differing: tuple[str, ...]
    traffic_share: float | None
    rows: tuple[Difference, ...]
    hidden: int


class RulesView(NamedTuple):
    """The active rule, and what each other one would do.

    Attributes:
        all_url: of the page with all differences.
        overrides: sentences on complexities whose tasks do not go to the choice of the active rule.
    """

    active: str | None
    comparisons: tuple[Comparison, ...]
    all_url: str
    overrides: tuple[str, ...] = ()


class Published(NamedTuple):
    """The facts that routers go by, beside the scores of the rules. `inactive`: models that get no request."""

    pairs: Sequence[PairScore] = ()
    control: Control | None = None
    inactive: frozenset[str] = frozenset()


_NOTHING_PUBLISHED: Final = Published()


def compare(
    rows: Sequence[RuleScore],
    active: str | None,
    query: Mapping[str, str],
    decisions: Mapping[str, int],
    published: Published = _NOTHING_PUBLISHED,
) -> RulesView:
    """Compare the scores of every rule with those of the active one. `decisions`: of the last day, by complexity."""
    all_url = with_parameters("/scores", query, rules="all")
    by_rule: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for row in rows:
        by_rule[row.rule][row.model, row.complexity] = row.score
    if active is None or active not in by_rule:
        return RulesView(active, (), all_url)
    others = [rule for rule in sorted(by_rule) if rule != active]
    show_all = query.get("rules") == "all"
    compared = tuple(_compare(rule, by_rule[active], by_rule[rule], decisions, show_all) for rule in others)
    choices = {choice.complexity: choice.active for each in compared for choice in each.choices}
    overrides = (override_of(complexity, choice, *published) for complexity, choice in choices.items())
    return RulesView(active, compared, all_url, tuple(each for each in overrides if each is not None))


def _compare(
    rule: str,
    active: Mapping[tuple[str, str], float],
    other: Mapping[tuple[str, str], float],
    decisions: Mapping[str, int],
    show_all: bool,
) -> Comparison:
    shadow, differences = compare_choices(rule, active, other, decisions), []
    for complexity in COMPLEXITIES:
        models = sorted(model for model, each in active if each == complexity and (model, complexity) in other)
        if not models:
            continue
        mine = {model: active[model, complexity] for model in models}
        theirs = {model: other[model, complexity] for model in models}
        my_places, their_places = places(mine), places(theirs)
        for model in models:
            here, there = my_places[model], their_places[model]
            if here[1] < there[0] or there[1] < here[0]:
                differences.append(
                    Difference(
                        model,
                        complexity,
                        pair_url(model, complexity),
                        mine[model],
                        theirs[model],
                        _text(here),
                        _text(there),
                        leads=here[0] == 1 or there[0] == 1,
                    )
                )
    differences.sort(key=lambda each: (not each.leads, -abs(each.active_score - each.other_score), each.model))
    shown = differences if show_all else differences[:_MOST_ROWS]
    compared = sum(pair in other for pair in active)
    differing = tuple(choice.complexity for choice in shadow.differing)
    choices = tuple(map(_choice, shadow.choices))
    hidden = len(differences) - len(shown)
    return Comparison(rule, compared, choices, differing, shadow.traffic_share, tuple(shown), hidden)


def _choice(choice: RuleChoice) -> Choice:
    leader = choice.active
    others = [leader, *(model for model in choice.others if model != leader)] if choice.same else choice.others
    return Choice(choice.complexity, leader, listed(others, 3), choice.same, pair_url(leader, choice.complexity))


def places(scores: Mapping[str, float]) -> dict[str, tuple[int, int]]:
    """Return the first and last place that each model may have, the highest score first; they differ in a tie."""
    rounded = {model: round(score, TIE_DIGITS) for model, score in scores.items()}
    return {
        model: (
            1 + sum(other > score for other in rounded.values()),
            sum(other >= score for other in rounded.values()),
        )
        for model, score in rounded.items()
    }


def _text(place: tuple[int, int]) -> str:
    first, last = place
    return str(first) if first == last else f"{first} to {last}"
