"""The posted health of a model: state that expires, not configuration."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.values import Entry, convert, plain
from centralcloud.contracts.validators import is_number

HealthStatus = Literal["healthy", "degraded", "unhealthy"]
#: How long posted health counts when it does not say so itself.
DEFAULT_TTL_SECONDS: Final = 300.0
MIN_TTL_SECONDS: Final = 1.0
MAX_TTL_SECONDS: Final = 86_400.0


class HealthReport(Entry, frozen=True):
    """The health of a model, as it is posted.

    Attributes:
        status: an unhealthy model gets no request while the report counts.
        response_time: in milliseconds; None when unknown.
        error_rate: 0 to 1; None when unknown.
        availability: in percent, 0 to 100; None when unknown.
    """

    status: HealthStatus
    response_time: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    availability: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


class ModelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A health report that was received.

    Attributes:
        report: the report.
        reported_at: by the server's clock.
        expires_at: in seconds of `time.monotonic`, which no step of the clock of this machine changes.
    """

    report: HealthReport
    reported_at: datetime
    expires_at: float


def parse_health(value: Any, field: str = "health") -> tuple[HealthReport, float]:
    """Parse the JSON form of a health report: the report, and for how many seconds it counts (``ttlSeconds``).

    Raises:
        ContractError: a field is invalid, unknown or missing.
    """
    ttl: Any = DEFAULT_TTL_SECONDS
    if isinstance(value, dict):
        value = plain(value, "status")
        ttl = value.pop("ttlSeconds", DEFAULT_TTL_SECONDS)
    report = convert(value, HealthReport, field)
    if not is_number(ttl) or not MIN_TTL_SECONDS <= ttl <= MAX_TTL_SECONDS:
        expected = f"a number of seconds from {MIN_TTL_SECONDS:g} to {MAX_TTL_SECONDS:g}"
        raise ContractError(f"{field}.ttlSeconds", quote(ttl), expected)
    return report, float(ttl)
