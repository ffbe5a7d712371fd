"""The models that lead, before and after a run of the learner, and which of its scores change who leads. Pure.

The models that lead are those that a router would choose most often: `ScoreTable.chances`, with the router's own selection.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from centralcloud.contracts.estimate import Estimate
from centralcloud.contracts.model_choice.score_table import ScoreTable, TableScore
from centralcloud.learning.current_scores import CurrentScore
from centralcloud.learning.evidence import Pair
from centralcloud.learning.publication import Publication
from centralcloud.learning.rule import Score

#: Chances that differ by less are the same: they are computed to 0.001.
_SAME_CHANCE: Final = 0.002

#: Scores by pair.
Scores = Mapping[Pair, TableScore]


class Traffic(NamedTuple):
    """Decisions of one complexity and task type lately.

    Attributes:
        task_type: None: those without one.
        decisions: may be a fraction: where only a part has outcomes, the others are like them.
    """

    complexity: str
    task_type: str | None
    decisions: float


class LeaderChange(NamedTuple):
    """Models that would lead a complexity and did not.

    Attributes:
        task_type: of the tasks; None: those without one.
        before, after: the models that lead, by name; several where they are equal.
        traffic_share: of the fleet's decisions that this concerns, 0 to 1.
    """

    complexity: str
    task_type: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]
    traffic_share: float


class Divided(NamedTuple):
    """The scores of a run, divided.

    Attributes:
        direct: change no leader, or those of little traffic.
        held: would change the leaders of much traffic.
        changes: of leaders, by the held ones.
    """

    direct: list[Publication]
    held: list[Publication]
    changes: list[LeaderChange]


def divide(
    current: Iterable[CurrentScore],
    publications: Sequence[Publication],
    traffic: Sequence[Traffic],
    most_share: float,
    *,
    fallen: Collection[Pair] = (),
) -> Divided:
    """Divide the scores that a run would publish into those that may be, and those that change who leads too much.

    Held are the scores of the models that lead before or after, and all of a complexity where the rest would still change
    its leader.

    Args:
        current: the published scores of all pairs.
        traffic: of the last day.
        most_share: of the fleet's decisions, 0 to 1, whose leaders a run may change.
        fallen: pairs whose fall the rule has noticed as a change: a lower score of theirs is never held, as it ends harm.
    """
    urgent = [each for each in publications if is_urgent(each, fallen)]
    others = [each for each in publications if not is_urgent(each, fallen)]
    before = with_scores(published_scores(current), urgent)
    changes = leader_changes(before, with_scores(before, others), traffic)
    if sum(each.traffic_share for each in changes) <= most_share:
        return Divided(list(publications), [], [])
    leading: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        leading[change.complexity].update(change.before, change.after)
    held = {each.current.pair for each in others if each.current.model in leading[each.current.complexity]}
    rest = with_scores(before, (each for each in others if each.current.pair not in held))
    whole = {each.complexity for each in leader_changes(before, rest, traffic) if each.complexity in leading}
    held |= {each.current.pair for each in others if each.current.complexity in whole}
    return Divided(
        [each for each in publications if each.current.pair not in held],
        [each for each in publications if each.current.pair in held],
        changes,
    )


def is_urgent(publication: Publication, fallen: Collection[Pair]) -> bool:
    """Return whether a score falls because the model has become worse, as an alarm of the rule says."""
    current, score, _ = publication
    return current.pair in fallen and score.score < current.old_score


def leader_changes(before: Scores, after: Scores, traffic: Iterable[Traffic]) -> list[LeaderChange]:
    """Return where a model would lead that did not, with the share of the traffic."""
    traffic = list(traffic)
    total = sum(each.decisions for each in traffic)
    tables = ScoreTable("before", before.values()), ScoreTable("after", after.values())
    changed = {each.complexity for pair, each in after.items() if before.get(pair) != each}
    found = []
    for complexity, task_type, decisions in traffic:
        if complexity in changed and decisions > 0:
            led, leads = (_leaders(table, complexity, task_type) for table in tables)
            if led and not set(leads) <= set(led):
                found.append(LeaderChange(complexity, task_type, led, leads, decisions / total))
    return found


def published_scores(current: Iterable[CurrentScore]) -> dict[Pair, TableScore]:
    """Return the scores that routers use now: published ones, or those that instances have configured."""
    return {
        each.pair: TableScore(
            each.model,
            each.complexity,
            float(each.old_score),
            learned=each.version is not None,
            estimate=Estimate(mean=each.mean, n_eff=each.n_eff, draw_n=each.draw_n, probe_share=each.probe_share),
            task_types=each.task_types,
        )
        for each in current
        if each.retired_at is None and (each.version is not None or each.last_reported_score is not None)
    }


def with_scores(scores: Scores, publications: Iterable[Publication]) -> dict[Pair, TableScore]:
    """Return scores with others in their place."""
    return {**scores, **{each.current.pair: table_score(each.score) for each in publications}}


def table_score(score: Score) -> TableScore:
    """Return the score of a rule as one of a table."""
    return TableScore(
        score.model, score.complexity, float(score.score), estimate=score.estimate, task_types=score.task_types
    )


def _leaders(table: ScoreTable, complexity: str, task_type: str | None) -> tuple[str, ...]:
    chances = table.chances(complexity, task_type)
    best = max(chances.values(), default=0.0)
    return tuple(sorted(model for model, chance in chances.items() if chance > best - _SAME_CHANCE))
