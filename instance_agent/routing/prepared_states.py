"""States of the catalog with the probabilities of their sets of targets, computed before a change is used where that is
possible. Pure.
"""

from collections.abc import Sequence
from typing import Final

from centralcloud.contracts.model_choice.selection import SelectionMode
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target
from instance_agent.routing.eligible import CatalogState, Eligible, SetKey, Trials, Wanted
from instance_agent.routing.prepared import PreparedSet

#: Sets of targets whose probabilities are kept; the one that was used longest ago is dropped first.
_MAX_SETS: Final = 512
#: Most sets for which the probabilities are computed before a change is used.
_MAX_PREPARED: Final = 128


class PreparedStates:
    """The current state of the catalog, and the next one.

    Attributes:
        sets_computed: sets of targets whose probabilities were computed for a request, not by `prepare`.
    """

    def __init__(self, selection: SelectionMode, exploration: float) -> None:
        """Begin without a state; the arguments are those of `Planner`."""
        self._selection = selection
        self._exploration = exploration
        self.sets_computed = 0
        self._state: CatalogState | None = None
        self._prepared: CatalogState | None = None

    def prepare(self, snapshot: CatalogSnapshot) -> None:
        """Compute the probabilities by a state of the catalog that will be used next, for the sets that were used of late.

        For the thread that brings new scores: no request has to wait for them.

        Args:
            snapshot: from `ModelCatalog.next`.
        """
        current = self._state
        if current is None or current.is_for(snapshot):
            return
        state = self._next(current, snapshot)
        for treatment, table in list(current.tables.items()):
            state.tables[treatment] = self._next(table, treatment.applied_to(snapshot))
        self._prepared = state

    def _next(self, current: CatalogState, snapshot: CatalogSnapshot) -> CatalogState:
        """Return the state of a catalog, with the probabilities for the sets that were used of late."""
        state = CatalogState(snapshot)
        for key in list(current.sets)[-_MAX_PREPARED:]:
            scored_as, _, _, keys, tail_keys = key
            targets = [state.targets[each] for each in keys if each in state.targets]
            tail = [state.targets[each] for each in tail_keys if each in state.targets]
            if (
                len(targets) + len(tail) == len(keys) + len(tail_keys)
                and all(state.score(target, scored_as) is not None for target in targets)
                and all(state.score(target, "simple") is not None for target in tail)
            ):
                state.sets[key] = self._new_set(key, targets, tail, state)
        return state

    def _state_of(self, snapshot: CatalogSnapshot) -> CatalogState:
        state = self._state
        if state is None or not state.is_for(snapshot):
            prepared = self._prepared
            state = prepared if prepared is not None and prepared.is_for(snapshot) else CatalogState(snapshot)
            self._state = state
            self._prepared = None
        return state

    def _prepare_set(self, eligible: Eligible, wanted: Wanted, state: CatalogState, *, probing: bool) -> PreparedSet:
        scored_as, probed, keys, tail = eligible.key
        trials: Trials = "none" if not probing else "all" if probed else "random"
        key = scored_as, wanted, trials, keys, tail
        found = state.sets.get(key)
        if found is None:
            self.sets_computed += 1
            found = state.sets[key] = self._new_set(key, eligible.chosen, eligible.tail, state)
            if len(state.sets) > _MAX_SETS:
                state.sets.popitem(last=False)
        state.sets.move_to_end(key)
        return found

    def _new_set(
        self, key: SetKey, targets: Sequence[Target], tail: Sequence[Target], state: CatalogState
    ) -> PreparedSet:
        scored_as, (prefer, task_type), trials, _, _ = key
        return PreparedSet(
            targets,
            scored_as,
            prefer,
            state.snapshot.for_task_type(task_type),
            mode=self._selection,
            exploration=0.0 if trials == "none" else self._exploration,
            probing=trials == "all",
            tail=tail,
        )
