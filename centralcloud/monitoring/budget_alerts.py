"""Alerts of budgets as findings. The database decides that there is one for each budget and period, see `exchange_spend`."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import apart, percent, usd
from centralcloud.store.findings import Finding

#: The kind of these findings.
BUDGET_ALERT: Final = "budget_alert"


class _Alert(NamedTuple):
    budget: str
    threshold: float
    at: datetime
    period_start: datetime
    period_end: datetime
    spent: int
    limit_amount: int


_CURRENT: Final = Query(__package__, "current_budget_alerts", row=_Alert)


def detect_budget_alerts(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Yield a finding for each budget that has given its alert in the period of now; it closes when the period ends."""
    for alert in _CURRENT.all(connection):
        share = alert.spent / alert.limit_amount if alert.limit_amount else 1.0
        found, expected = apart(share, alert.threshold) if share != alert.threshold else [percent(share)] * 2
        yield Finding(
            BUDGET_ALERT,
            alert.budget,
            f"budget {alert.budget}: {usd(alert.spent)} of {usd(alert.limit_amount)} are spent ({found}), until "
            f"{alert.period_end:%Y-%m-%d %H:%M %Z}: expected less than {expected}",
            {
                "budget": alert.budget,
                "spent_nano_usd": alert.spent,
                "limit_nano_usd": alert.limit_amount,
                "threshold": alert.threshold,
                "period_start": alert.period_start.isoformat(),
                "period_end": alert.period_end.isoformat(),
            },
        )
