"""Names and limits that every program of the fleet shares (docs/reference/specification.md)."""

from datetime import UTC, datetime
from typing import Final

DECISIONS_QUEUE: Final = "model_routing_decisions"
UPDATES_QUEUE: Final = "model_score_updates"

#: NOTIFY channels. A notification only starts the next poll sooner; nothing depends on its arrival.
DECISIONS_CHANNEL: Final = "centralcloud_decisions"
UPDATES_CHANNEL: Final = "centralcloud_scores"

COMPLEXITIES: Final = ("simple", "medium", "complex")
OUTCOMES: Final = ("routed", "success", "failure")

#: Kinds of failure. A failure of kind `caller` or `policy` says nothing about the model: it is blameless.
ERROR_KINDS: Final = ("caller", "policy", "provider", "timeout")
BLAMELESS_ERROR_KINDS: Final = frozenset({"caller", "policy"})

SCORE_MIN: Final = 0.0
SCORE_MAX: Final = 5.0
#: Score that a router reports for a model whose score it does not know, and of a pair without a reported score.
NEUTRAL_SCORE: Final = 2.5

#: Largest routing event that is ingested, in bytes of its JSON text.
MAX_MESSAGE_BYTES: Final = 262_144
#: Most characters of the name of a model or provider.
MAX_NAME_LENGTH: Final = 512
#: Most characters of the id of an instance or decision.
MAX_ID_LENGTH: Final = 200
#: Most bytes of a name in UTF-8: an entry of an index, which has a model, a provider and an instance, may have 2,704 bytes.
MAX_NAME_BYTES: Final = 900
#: Most characters of a name that describes a request, such as its workspace.
MAX_LABEL_LENGTH: Final = 200
#: Most bytes of the plan of a request, as JSON without spaces.
MAX_PLAN_BYTES: Final = 2048
#: An event is not older: earlier times are zero values, or numbers in another unit.
EARLIEST_TIME: Final = datetime(2020, 1, 1, tzinfo=UTC)
#: Reserved. Stands for models whose names are beyond the limits of the fleet, and for all label values that a metric leaves
#: out. Events with such a name keep it under `REPORTED_MODEL_KEY` in `extra`.
OTHER: Final = "(other)"
REPORTED_MODEL_KEY: Final = "reported_model"
#: A gateway marks so, in `extra`, the events of a model that is not of its catalog: a client made the name up. Such names
#: get only half of the limits of new names.
NAMED_BY_KEY: Final = "named_by"
NAMED_BY_CLIENT: Final = "client"
#: Why the first attempt of a request that is compared was not at the first choice of its arm, in `extra` of its events. For
#: its experiment the first attempt has failed then. `UNSERVED`: the request ended without any attempt, and has failed, too.
NOT_MADE_KEY: Final = "not_made"
UNSERVED: Final = "unserved"
MAX_INT4: Final = 2_147_483_647
MAX_INT8: Final = 9_223_372_036_854_775_807
#: Up to here a double holds every whole number exactly.
LARGEST_EXACT_FLOAT: Final = 2**53
#: A higher cost is a mistake, and a sum of such mistakes could overflow.
MAX_COST_USD: Final = 1e9
NANO_USD_PER_USD: Final = 1_000_000_000
MAX_COST_NANO_USD: Final = int(MAX_COST_USD) * NANO_USD_PER_USD
MAX_CLOCK_AHEAD_HOURS: Final = 24
#: A daemon that has not looked after the experiments for so long is silent: gateways send every session to control.
EXPERIMENTS_SILENT_SECONDS: Final = 900.0

#: A rate limit of a key: most requests in a window, and its length from 1 second to 31 days.
MAX_RATE_REQUESTS: Final = 1_000_000_000
MIN_RATE_WINDOW_MS: Final = 1_000
MAX_RATE_WINDOW_MS: Final = 31 * 86_400_000
