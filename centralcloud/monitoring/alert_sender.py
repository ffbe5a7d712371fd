"""The background task that delivers the alerts of budgets to a webhook, and repeats what was not accepted."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.monitoring.webhook import deliver
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask

log = get_logger(__name__)

#: Between the first two attempts; twice as long each time, up to the longest. After a day the alert is given up.
_FIRST_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 3600.0
_GIVE_UP_SECONDS: Final = 86_400.0


class _Alert(NamedTuple):
    meter: str
    budget: str
    period_start: datetime
    period_end: datetime
    at: datetime
    threshold: float
    limit_amount: int
    spent: int
    attempts: int

    @property
    def message_id(self) -> str:
        """The same for each attempt."""
        return f"budget_alert/{self.budget}/{self.period_start.timestamp():.0f}"

    @property
    def content(self) -> dict[str, Any]:
        """The message, as docs/explanation/spend.md describes it."""
        return {
            "type": "budget.alert",
            "timestamp": self.at.isoformat(),
            "data": {
                "budget": self.budget,
                "threshold": self.threshold,
                "spent_nano_usd": self.spent,
                "limit_nano_usd": self.limit_amount,
                "period_start": self.period_start.isoformat(),
                "period_end": self.period_end.isoformat(),
            },
        }


_CLAIM: Final = Query(__package__, "claim_budget_alerts", row=_Alert)
_RECORD: Final = Query(__package__, "record_alert_delivery")


class AlertSender(BackgroundTask):
    """Delivers each alert at least once, by whichever replica claims it. Not in the transaction that claims it.

    A process that is killed in between leaves the alert to the next attempt, which has the same id.
    """

    def __init__(self, database: Database, url: str, secret: str | None, *, interval_seconds: float = 5.0) -> None:
        super().__init__("alerts", database, interval_seconds=interval_seconds)
        self.longest_run_seconds = 20 * 25.0  # each of 20 alerts may wait for a connection and for an answer
        self._url = url
        self._secret = secret

    def run_once(self) -> bool:
        """Deliver the alerts that are due."""
        values = {
            "first_seconds": _FIRST_SECONDS,
            "longest_seconds": _LONGEST_SECONDS,
            "give_up_seconds": _GIVE_UP_SECONDS,
        }
        with self.database.transaction() as connection:
            due = _CLAIM.all(connection, values)
        for alert in due:
            if self.stopping:
                break
            problem = deliver(self._url, self._secret, alert.message_id, alert.content)
            with self.database.transaction() as connection:
                _RECORD.run(connection, {"meter": alert.meter, "period_start": alert.period_start, "problem": problem})
            if problem is not None:
                log.warning("webhook_failed", budget=alert.budget, attempt=alert.attempts, reason=problem)
            else:
                log.info("webhook_delivered", budget=alert.budget, attempt=alert.attempts)
        return False
