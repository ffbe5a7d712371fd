"""The comparison of an instance's scores with the snapshot of all published ones."""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from centralcloud.contracts import Estimate
from centralcloud.contracts.task_score import TaskScores
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores, Pair

log = get_logger(__name__)

#: Scores that a line of the log names; it counts the others.
_MOST_LOGGED: Final = 10
#: Two scores or estimates that differ by less are the same number, read as JSON and as a column.
_SAME: Final = 1e-9


class PublishedScore(NamedTuple):
    """A score of the snapshot, with the parts of its estimate."""

    model: str
    complexity: str
    score: Decimal
    version: int
    updated_at: datetime
    reason: str
    mean: float | None
    n_eff: float | None
    probe_share: float | None
    draw_n: float | None
    task_types: TaskScores | None = None


def contradicts(known: LearnedScores, snapshot: list[PublishedScore] | None) -> bool:
    """Return whether the instance has newer versions than the database: the database was restored in place to an earlier
    state, or the file of the instance was changed by another program.

    Within one history a version never decreases, and log and snapshot are read at one moment.
    """
    if snapshot is None:
        return False
    versions = {(row.model, row.complexity): row.version for row in snapshot}
    if known.version > max(versions.values(), default=0):
        return True
    return any(
        score.version is not None and score.version > versions.get(pair, 0) for pair, score in known.scores.items()
    )


def log_start_over(known: LearnedScores, epoch: str, snapshot: list[PublishedScore] | None) -> None:
    effect = "starting over from its scores"
    if known.epoch is None:
        return
    if epoch != known.epoch:
        log.warning("database_changed", before=known.epoch, now=epoch, effect=effect)
        return
    versions = {(row.model, row.complexity): row.version for row in snapshot or []}
    used = {pair: score.version for pair, score in known.scores.items() if score.version is not None}
    if any(pair in versions and version > versions[pair] for pair, version in used.items()):
        log.warning("database_changed", before=known.epoch, now=epoch, effect=effect)
        return
    removed = sorted(pair for pair in used if pair not in versions)
    first = [f"{model} ({complexity})" for model, complexity in removed[:_MOST_LOGGED]]
    log.warning("scores_removed", count=len(removed), scores=first, effect=effect)


def corrected(learned: LearnedScores, published: Iterable[tuple[Pair, LearnedScore]]) -> LearnedScores:
    """Return the scores without those that have the version of the database and not its score; the same object without any.

    A version never changes in the database: a program has changed the file of the instance, or sent an update of its own
    with that version. The caller applies what is published.
    """
    wrong = {}
    for pair, score in published:
        used = learned.scores.get(pair)
        if used is not None and used.version == score.version and _differs(used, score):
            wrong[pair] = f"{pair[0]} ({pair[1]}), version {score.version}: {_words(used)}, published {_words(score)}"
    if not wrong:
        return learned
    first = [wrong[pair] for pair in sorted(wrong)[:_MOST_LOGGED]]
    effect = "the published scores are used"
    log.warning("learned_scores_corrected", count=len(wrong), scores=first, effect=effect)
    return replace(learned, scores={pair: score for pair, score in learned.scores.items() if pair not in wrong})


def _differs(used: LearnedScore, published: LearnedScore) -> bool:
    return not _all_same(_numbers(used), _numbers(published)) or (
        # Those of one side are missing where the other is of an earlier version.
        bool(used.task_types and published.task_types) and _task_types_differ(used.task_types, published.task_types)
    )


def _task_types_differ(used: TaskScores, published: TaskScores) -> bool:
    return used.keys() != published.keys() or any(
        not _all_same(
            (used[name].score, *_estimate_numbers(used[name].estimate)),
            (task.score, *_estimate_numbers(task.estimate)),
        )
        for name, task in published.items()
    )


def _all_same(used: tuple[float | None, ...], published: tuple[float | None, ...]) -> bool:
    return all(_same(*pair) for pair in zip(used, published, strict=True))


def _numbers(score: LearnedScore) -> tuple[float | None, ...]:
    return score.score, *_estimate_numbers(score.estimate)


def _estimate_numbers(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.mean, estimate.n_eff, estimate.draw_n, estimate.probe_share


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME)


def _words(score: LearnedScore) -> str:
    estimate = score.estimate.to_json()
    return f"{score.score:g}" + (f" with {estimate}" if estimate else "")
