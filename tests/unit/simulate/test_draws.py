"""Models are drawn as often as the router would choose them."""

import numpy as np
import pytest

from centralcloud.contracts import Estimate
from centralcloud.contracts.model_choice.selection import Candidate, Selection, SelectionMethod, method_for
from centralcloud.simulate.draws import Draws

DRAWS = 40_000


def candidate(
    model: str, score: float, mean: float | None, n_eff: float | None, probe: float | None = None
) -> Candidate:
    return Candidate(
        model=model, score=score, value=score, estimate=Estimate(mean=mean, n_eff=n_eff, probe_share=probe)
    )


UNKNOWN = Candidate(model="unknown", score=2.5, value=2.5, learned=False)


@pytest.mark.parametrize(
    "candidates",
    [
        [candidate("a", 4.5, 0.9, 200), candidate("b", 4.4, 0.88, 50, 0.01), candidate("c", 1.0, 0.2, 30, 0.05)],
        [candidate("a", 4.0, 0.9, 20), candidate("late", 4.1, 0.95, 8), UNKNOWN],
        [candidate("a", 4.0, 0.8, 20), candidate("known", 4.0, None, None), candidate("twin", 4.0, None, None)],
        [candidate("a", 4.0, None, None), candidate("b", 4.0, None, None), candidate("c", 3.0, None, None, 0.2)],
        [candidate("sure", 5.0, 1.0, 3), candidate("never", 0.0, 0.0, 3), UNKNOWN],
        [candidate("alone", 4.0, 0.8, 20, 0.1)],
        [candidate("two entries", 4.0, 0.8, 20), candidate("two entries", 4.0, 0.8, 20), UNKNOWN],
    ],
)
def test_draws_have_the_probabilities_of_the_router(candidates: list[Candidate]) -> None:
    method: SelectionMethod = method_for("auto", candidates)
    chosen, probes = Draws(candidates, method, np.arange(len(candidates))).sample(DRAWS, np.random.default_rng(1))
    selection = Selection(candidates, method)
    found = np.bincount(chosen, minlength=len(candidates)) / DRAWS
    assert found == pytest.approx([chance.propensity for chance in selection.chances], abs=0.01)
    assert probes / DRAWS == pytest.approx(sum(chance.probe for chance in selection.chances), abs=0.01)
