"""Logs of decisions that were drawn with known probabilities, from models whose success is known."""

from collections.abc import Mapping, Sequence

import numpy as np

from centralcloud.contracts import COMPLEXITIES
from centralcloud.contracts.model_choice.score_table import ScoreTable, TableScore
from centralcloud.evaluation.decisions import Decisions
from centralcloud.runtime.arrays import Floats


def greedy_table(best: Mapping[str, str] | str, models: Sequence[str], name: str = "a table") -> ScoreTable:
    """Return a table without estimates, by which routers choose one model: the same, or one for each complexity."""
    chosen = dict.fromkeys(COMPLEXITIES, best) if isinstance(best, str) else best
    return ScoreTable(
        name,
        [
            TableScore(model, complexity, 4.0 if model == chosen[complexity] else 1.0)
            for complexity in chosen
            for model in models
        ],
    )


def a_log(
    drawn: Mapping[str, float],
    success: Mapping[str, float],
    size: int,
    rng: np.random.Generator,
    complexities: Sequence[str] = ("simple",),
) -> Decisions:
    """Return decisions drawn with these probabilities by model, whose outcomes have these success rates."""
    models = tuple(drawn)
    chances: Floats = np.array(list(drawn.values()))
    model = rng.choice(len(models), size=size, p=chances)
    x = (rng.random(size) < np.array([success[each] for each in models])[model]).astype(np.float64)
    places = np.array([COMPLEXITIES.index(each) for each in complexities])
    complexity = places[np.arange(size) % len(places)]
    return Decisions(models, (None,), complexity, model, np.zeros(size, dtype=np.int64), x, chances[model], {})
