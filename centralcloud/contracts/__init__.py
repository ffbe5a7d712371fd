"""The two wire messages: what they may hold, how they are read, checked and written. Imports nothing else of ours."""

from centralcloud.contracts.errors import CentralCloudError, ContractError, SettingsError
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
from centralcloud.contracts.routing_event import RoutingEvent, parse_routing_event
from centralcloud.contracts.score_update import ScoreUpdate, parse_score_update

__all__ = [
    "COMPLEXITIES",
    "DECISIONS_CHANNEL",
    "DECISIONS_QUEUE",
    "OUTCOMES",
    "SCORE_MAX",
    "SCORE_MIN",
    "UPDATES_CHANNEL",
    "UPDATES_QUEUE",
    "CentralCloudError",
    "ContractError",
    "RoutingEvent",
    "ScoreUpdate",
    "SettingsError",
    "parse_routing_event",
    "parse_score_update",
]
