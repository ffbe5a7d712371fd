"""The wire messages: parsing, validation and serialization. Imports no other package of the project."""

from centralcloud.contracts.errors import CentralCloudError, ContractError, SettingsError
from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate, parse_estimate
from centralcloud.contracts.limits import (
    COMPLEXITIES,
    DECISIONS_CHANNEL,
    DECISIONS_QUEUE,
    OUTCOMES,
    SCORE_MAX,
    SCORE_MIN,
    UPDATES_CHANNEL,
    UPDATES_QUEUE,
)
from centralcloud.contracts.routing_event import RequestEvent, RoutingEvent, parse_routing_event
from centralcloud.contracts.score_update import ScoreUpdate, parse_score_update

__all__ = [
    "COMPLEXITIES",
    "DECISIONS_CHANNEL",
    "DECISIONS_QUEUE",
    "NO_ESTIMATE",
    "OUTCOMES",
    "SCORE_MAX",
    "SCORE_MIN",
    "UPDATES_CHANNEL",
    "UPDATES_QUEUE",
    "CentralCloudError",
    "ContractError",
    "Estimate",
    "RequestEvent",
    "RoutingEvent",
    "ScoreUpdate",
    "SettingsError",
    "parse_estimate",
    "parse_routing_event",
    "parse_score_update",
]
