"""A simulated provider tells a rule as the daemon does: with the first outcomes that name another version."""

from pathlib import Path

import numpy as np
from support.outcomes import a_ground_truth, a_table

from centralcloud.learning.evidence import ModelChange, NewVersion
from centralcloud.simulate.reports import Tasks
from centralcloud.simulate.told_versions import ToldVersions

RATES = {"m": (0.9,) * 3, "n": (0.5,) * 3}


def test_a_version_is_new_from_its_first_outcome_on_and_a_change_from_the_twentieth(tmp_path: Path) -> None:
    phases = [{"events": 10, "serve": {"m": "n"}}, {"events": 90, "told": True}]
    truth = a_ground_truth(a_table(tmp_path, RATES), phases=phases)
    told, of_m = ToldVersions(truth), [pair for pair in truth.pairs if pair[0] == "m"]

    def complete(tasks: int, model: int = 0) -> None:
        instance = np.zeros(tasks, dtype=np.int64)
        told.count(Tasks.done(truth.phases[1], instance, instance, instance + model))

    told.begin(truth.scenario.phases[0], 0)
    complete(30)
    assert (told.new_versions, told.changes) == ({}, {})
    told.begin(truth.scenario.phases[1], 4)
    complete(30, model=1)
    assert told.new_versions == {}
    complete(1)
    assert told.new_versions == {pair: [NewVersion(version="m", after_slice=4)] for pair in of_m}
    complete(19)
    change = ModelChange(change_id=1, after_slice=4, version_before="n", version_after="m")
    assert (told.new_versions, told.changes) == ({}, {pair: [change] for pair in of_m})
