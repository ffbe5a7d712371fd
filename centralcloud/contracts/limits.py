"""Names and limits that every program of the fleet shares (specification: queues, complexities, outcomes, score range)."""

from typing import Final

DECISIONS_QUEUE: Final = "model_routing_decisions"
UPDATES_QUEUE: Final = "model_score_updates"

#: NOTIFY channels. A notification is only a hint to poll now; nothing depends on its arrival.
DECISIONS_CHANNEL: Final = "centralcloud_decisions"
UPDATES_CHANNEL: Final = "centralcloud_scores"

COMPLEXITIES: Final = ("simple", "medium", "complex")
OUTCOMES: Final = ("routed", "success", "failure")

#: Kinds of failure. `caller` and `policy` say nothing about the model: such a failure is blameless.
ERROR_KINDS: Final = ("caller", "policy", "provider", "timeout")
BLAMELESS_ERROR_KINDS: Final = frozenset({"caller", "policy"})

SCORE_MIN: Final = 0.0
SCORE_MAX: Final = 5.0

#: Largest routing event taken in, in bytes of its JSON text.
MAX_MESSAGE_BYTES: Final = 262_144
MAX_NAME_LENGTH: Final = 200
MAX_INT4: Final = 2_147_483_647
MAX_INT8: Final = 9_223_372_036_854_775_807
#: Above this a cost is not a price but a mistake, and a sum of such mistakes would overflow.
MAX_COST_USD: Final = 1e9
MAX_CLOCK_AHEAD_HOURS: Final = 24
