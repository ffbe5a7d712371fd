"""Budgets and rate limits, and what is spent of them."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class SpendPeriod(NamedTuple):
    """A budget or a rate limit in the period of now.

    Attributes:
        meter: ``budget/ID``, ``overdraft/ID``, ``requests/KEY`` or ``tokens/KEY``.
        unit: ``nano_usd``, ``requests`` or ``tokens``, of every amount.
        estimated: part of `spent`.
        leased: held by gateways, and not reported as spent yet.
        written_off: leases of gateways that do not answer any more.
        threshold: of the alert, a share of the limit.
        delivered_at, problem: of the alert at the webhook.
    """

    meter: str
    period_start: datetime
    period_end: datetime
    unit: str
    limit_amount: int
    spent: int
    estimated: int
    leased: int
    written_off: int
    alerted_at: datetime | None
    threshold: float | None
    delivered_at: datetime | None
    problem: str | None


class Budget(NamedTuple):
    """A budget of the configuration. `period`: daily, weekly, monthly or task, which has no bounds."""

    budget_id: str
    scope: str
    period: str
    limit_nano_usd: int
    period_start: datetime | None
    period_end: datetime | None
    threshold: float


class Budgets(NamedTuple):
    """All budgets and limits, those that are the fullest first; `configured` by id."""

    periods: tuple[SpendPeriod, ...]
    configured: tuple[Budget, ...]


_PERIODS = Query(__package__, "list_spend_periods", row=SpendPeriod)
_BUDGETS = Query(__package__, "list_budgets", row=Budget)


def _read(connection: psycopg.Connection[Any]) -> Budgets:
    return Budgets(tuple(_PERIODS.all(connection)), tuple(_BUDGETS.all(connection)))


BUDGETS: Final = Source("budgets", Tier.QUARTER, _read)
