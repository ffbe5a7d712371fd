"""The health of targets, as gateways exchange it: states of breakers, results of checks. Pure."""

from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

#: NOTIFY channel: a gateway has reported another state of a target.
TARGET_HEALTH_CHANNEL: Final = "centralcloud_target_health"
#: Most reports, and most leases, of one statement.
MAX_REPORTS: Final = 1000
#: Longest key of a target.
MAX_KEY_LENGTH: Final = 1500

ReportKind: TypeAlias = Literal["breaker", "check"]


class TargetReport(NamedTuple):
    """A report of a gateway about a target.

    Attributes:
        kind: of a breaker, or of a health check.
        key: identifies the target in the fleet; it holds no secret.
        state: closed, open, cooling or misconfigured; healthy, unhealthy or unknown.
        seconds: for how long it counts, 0 to 86400.
        reason: one line of at most 200 characters, in this project's own words.
    """

    kind: ReportKind
    key: str
    state: str
    seconds: float
    reason: str | None = None


class ReportedHealth(NamedTuple):
    """A report as the database returns it.

    Attributes:
        reporter: the gateway that sent it.
        seconds_left: until it expires.
        age_seconds: since it was reported.
    """

    kind: ReportKind
    key: str
    reporter: str
    state: str
    reason: str | None
    reported_at: datetime
    seconds_left: float
    age_seconds: float
