"""The sums over the accepted events of a batch for the message ledger: outcomes and cost of the whole fleet.

Pure: no database. The ledger never loses them: `model_routing_metrics` does, when an operator forgets a model.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from centralcloud.contracts.limits import NANO_USD_PER_USD
from centralcloud.contracts.routing_event import RequestEvent
from centralcloud.ingest.batch import ReceivedEvent
from centralcloud.ingest.metric_deltas import MetricDelta


class OutcomeTotals(NamedTuple):
    """The amounts by which a batch increases the ledger; `cost_nano_usd` in 1e-9 USD."""

    successes: int = 0
    failures: int = 0
    blameless: int = 0
    cost_nano_usd: int = 0


def outcome_totals(deltas: Iterable[MetricDelta], accepted: Sequence[ReceivedEvent]) -> OutcomeTotals:
    """Return the sums of a batch, from its changes by pair and its events."""
    successes = failures = blameless = 0
    for delta in deltas:
        successes += delta.successes
        failures += delta.failures
        blameless += delta.blameless
    return OutcomeTotals(successes, failures, blameless, _cost_nano_usd(accepted))


def _cost_nano_usd(accepted: Sequence[ReceivedEvent]) -> int:
    """Return the sum of the costs: the exact one of an event where it has one, as in the roll-ups."""
    total = 0
    for received in accepted:
        event = received.event
        if event.cost_usd is None:  # it is set wherever the exact cost is
            continue
        exact = event.cost_nano_usd if isinstance(event, RequestEvent) else None
        total += round(event.cost_usd * NANO_USD_PER_USD) if exact is None else exact
    return total
