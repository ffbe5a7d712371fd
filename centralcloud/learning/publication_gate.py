"""The gate between a run of the learner and the fleet: it may hold scores back, until a canary has judged them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import psycopg

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.learning.evidence import Pair
from centralcloud.learning.publication import Publication
from centralcloud.learning.run_input import RunInput
from centralcloud.learning.selection import Selection


class Gated(NamedTuple):
    """The scores of a run after the gate.

    Attributes:
        selection: those to publish now.
        held: those that wait. They stay in `rule_scores`, and each run selects them anew.
        reasons: for which they wait, in sentences.
        canary: the experiment to start for some of them; None: none is.
    """

    selection: Selection
    held: Sequence[Publication] = ()
    reasons: Sequence[str] = ()
    canary: Experiment | None = None


class PublicationGate(Protocol):
    """Decides which scores of a run are published at once."""

    def hold(
        self, connection: psycopg.Connection[Any], run_input: RunInput, selection: Selection, fallen: frozenset[Pair]
    ) -> Gated:
        """Divide the selected scores. Reads only.

        Args:
            fallen: pairs whose fall the active rule has noticed as a change.
        """
        ...

    def start(self, connection: psycopg.Connection[Any], canary: Experiment) -> None:
        """Start the canary, in the transaction in which the run publishes the other scores."""
        ...
