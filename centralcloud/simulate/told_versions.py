"""The versions of models that providers tell, noticed as the daemon notices them."""

import numpy as np

from centralcloud.learning.evidence import ModelChange, NewVersion, Pair
from centralcloud.learning.model_versions import OF_FLEET, OF_INSTANCE
from centralcloud.runtime.arrays import Integers
from centralcloud.simulate.ground_truth import GroundTruth
from centralcloud.simulate.reports import Tasks
from centralcloud.simulate.scenario import Phase


class ToldVersions:
    """Notices that a model is served by another one once enough outcomes name it. A version that comes back is not new.

    Attributes:
        changes: of each pair, as a rule gets them.
        new_versions: of each pair, that outcomes name and that do not count yet.
    """

    def __init__(self, ground_truth: GroundTruth) -> None:
        self.changes: dict[Pair, list[ModelChange]] = {}
        self.new_versions: dict[Pair, list[NewVersion]] = {}
        self._pairs = ground_truth.pairs
        self._models = {name: number for number, name in enumerate(ground_truth.models)}
        self._complexities = ground_truth.complexities
        self._instances = ground_truth.scenario.instances
        self._known: dict[str, list[str]] = {name: [] for name in ground_truth.models}
        self._counts: dict[str, Integers] = {}
        self._after_slice = 0

    def begin(self, phase: Phase, after_slice: int) -> None:
        """Begin a phase behind slice `after_slice`. The first phase tells nothing: nothing was known before it."""
        self._counts.clear()
        self.new_versions.clear()
        self._after_slice = after_slice
        for model, known in self._known.items():
            served = phase.serve.get(model, {})
            version, *others = {served.get(complexity, model) for complexity in self._complexities}
            if not others and version not in known:  # ids that alternate tell nothing
                if known and phase.told:
                    self._counts[model] = np.zeros(self._instances, dtype=np.int64)
                known.append(version)

    def count(self, tasks: Tasks) -> None:
        """Count the outcomes of completed tasks."""
        for model in list(self._counts):
            counts = self._counts[model]
            counts += np.bincount(tasks.instance[tasks.model == self._models[model]], minlength=self._instances)
            if counts.max() >= OF_INSTANCE or counts.sum() >= OF_FLEET:
                self._notice(model)
            elif counts.any():
                new = NewVersion(version=self._known[model][-1], after_slice=self._after_slice)
                self.new_versions |= {pair: [new] for pair in self._pairs if pair[0] == model}

    def _notice(self, model: str) -> None:
        del self._counts[model]
        before, after = self._known[model][-2:]
        number = 1 + sum(map(len, self.changes.values()))
        change = ModelChange(
            change_id=number, after_slice=self._after_slice, version_before=before, version_after=after
        )
        for pair in self._pairs:
            if pair[0] == model:
                self.new_versions.pop(pair, None)
                self.changes.setdefault(pair, []).append(change)
