"""The evidence of metrics beside success: each has its own row, and a canary that begins again has none left."""

import math

import numpy as np

from centralcloud.experiments.canary import CanaryPlan
from centralcloud.experiments.canary_evidence import CanaryEvidence
from centralcloud.experiments.e_process import Sessions

_RUNS, _CAPPED, _SESSIONS = 2, 2, 400


def _folded() -> CanaryEvidence:
    """Two canaries: in the second one treatment takes three times as long. Costs are equal, and all succeed alike."""
    rng = np.random.default_rng(1)
    evidence = CanaryEvidence(CanaryPlan(), capped=_CAPPED, runs=_RUNS, strata=1)
    treated = rng.random((_SESSIONS, _RUNS)) < 0.5
    success = (rng.random((_SESSIONS, _RUNS)) < 0.9).astype(float)
    time = 0.1 + 0.1 * rng.random((_SESSIONS, _RUNS))
    time[:, 1] *= np.where(treated[:, 1], 3.0, 1.0)
    cost = 0.1 + 0.1 * rng.random((_SESSIONS, _RUNS))
    x = np.concatenate([success, time, cost], axis=1)
    shape = (_SESSIONS, _RUNS * (1 + _CAPPED))
    sessions = Sessions(np.tile(treated, 3), np.full(shape, 0.5), np.ones((*shape, 1)), x[..., None], x * x)
    first = Sessions(*(each[:, :_RUNS] for each in sessions))
    never = np.zeros(shape, dtype=bool)
    evidence.fold(sessions, first, bad_control=never, bad_treatment=never)
    return evidence


def test_a_slower_treatment_is_slower_in_its_own_canary_alone() -> None:
    equal, slower = _folded().facts()
    assert slower.slower > math.log(200)
    assert max(equal.slower, equal.dearer, slower.dearer, slower.worse, slower.worse_promptly) < math.log(20)
    assert slower.within_time is not None and slower.within_time < 0  # noqa: PT018 - one claim
    assert equal.within_time is not None and equal.within_time > math.log(20)  # noqa: PT018 - one claim
    assert min(each for each in (equal.within_cost, slower.within_cost) if each is not None) > math.log(20)


def test_a_canary_that_begins_again_has_no_evidence_for_a_roll_back_left() -> None:
    evidence = _folded()
    before = evidence.facts()
    evidence.begin_again(1)
    equal, again = evidence.facts()
    assert equal == before[0]
    assert (again.slower, again.dearer, again.worse, again.worse_promptly) == (0.0, 0.0, 0.0, 0.0)
    assert again.within_cost == before[1].within_cost, "evidence for a promotion is kept"
