"""The evidence of metrics beside success: each has its own row, and a canary that begins again has none left."""

import math

import numpy as np

from centralcloud.contracts.canary import CanaryPlan
from centralcloud.experiments.canary_evidence import CanaryEvidence
from centralcloud.experiments.e_process import Sessions

_RUNS, _CAPPED, _SESSIONS = 2, 2, 400


def _folded() -> CanaryEvidence:
    """Two canaries: treatment costs three times as much in the first, and takes three times as long in the second."""
    rng = np.random.default_rng(1)
    evidence = CanaryEvidence(CanaryPlan(), capped=_CAPPED, runs=_RUNS, strata=1)
    treated = rng.random((_SESSIONS, _RUNS)) < 0.5
    success = (rng.random((_SESSIONS, _RUNS)) < 0.9).astype(float)
    time = 0.1 + 0.1 * rng.random((_SESSIONS, _RUNS))
    time[:, 1] *= np.where(treated[:, 1], 3.0, 1.0)
    cost = 0.1 + 0.1 * rng.random((_SESSIONS, _RUNS))
    cost[:, 0] *= np.where(treated[:, 0], 3.0, 1.0)
    x = np.concatenate([success, time, cost], axis=1)
    shape = (_SESSIONS, _RUNS * (1 + _CAPPED))
    sessions = Sessions(np.tile(treated, 3), np.full(shape, 0.5), np.ones((*shape, 1)), x[..., None], x * x)
    first = Sessions(*(each[:, :_RUNS] for each in sessions))
    never = np.zeros(shape, dtype=bool)
    evidence.fold(sessions, first, bad_control=never, bad_treatment=never)
    return evidence


def test_each_metric_is_that_of_its_own_canary() -> None:
    dearer, slower = _folded().facts()
    assert min(dearer.dearer, slower.slower) > math.log(200)
    assert max(dearer.slower, slower.dearer, dearer.worse, slower.worse, slower.worse_promptly) < math.log(20)
    for within, beyond in ((dearer.within_time, dearer.within_cost), (slower.within_cost, slower.within_time)):
        assert within is not None
        assert beyond is not None
        assert within > math.log(20) > 0 > beyond


def test_a_canary_that_begins_again_has_no_evidence_for_a_roll_back_left() -> None:
    evidence = _folded()
    before = evidence.facts()
    evidence.begin_again(1)
    dearer, again = evidence.facts()
    assert dearer == before[0]
    assert (again.slower, again.dearer, again.worse, again.worse_promptly) == (0.0, 0.0, 0.0, 0.0)
    assert again.within_cost == before[1].within_cost, "evidence for a promotion is kept"
