"""The sources of reports: the sums of this process, or those of a whole fleet in its database."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

from centralcloud.contracts.errors import quote
from instance_agent.client.recommendations import Recommendation, recommend
from instance_agent.client.usage_records import UsageKey, UsageRecords, UsageSum


class Usage(NamedTuple):
    """The numbers of one time.

    Attributes:
        sums: of attempts. The days of the keys have no meaning where `days` has them.
        days: cost by the day in UTC, in nano-USD.
        escalated: requests that a paid provider answered after a local model had failed.
        times: the newest response times of each model, in milliseconds; empty where they are not known.
        counts_estimates: whether `estimated` of the sums is known.
        summed_until: through when the database has summed the records; None: in memory, or it has not begun.
    """

    sums: Mapping[UsageKey, UsageSum]
    days: Mapping[date, int]
    escalated: int
    times: Mapping[str, list[int]]
    counts_estimates: bool
    summed_until: datetime | None


class DailyBudget(NamedTuple):
    """A budget of a day, in nano-USD."""

    limit: int
    remaining: int


class UsageSource(Protocol):
    """The source of reports."""

    def usage(self, days: int | None) -> Usage:
        """Return the numbers of so many days in UTC, today included; None: of all that are kept."""

    def today(self) -> date:
        """Return the current day in UTC."""

    def spent_today(self) -> int:
        """Return the cost of the current day in UTC, in nano-USD."""

    def daily_budget(self) -> DailyBudget | None:
        """Return the budget that the source itself has; None: none."""

    def recommendations(self) -> list[Recommendation]:
        """Return recommendations, except the one on the budget of the caller."""


class ProcessUsage:
    """The sums of the calls of this process."""

    def __init__(self, records: UsageRecords) -> None:
        self._records = records

    def usage(self, days: int | None) -> Usage:
        """Return the numbers of so many days in UTC, today included; None: of all that are kept."""
        since = date.min if days is None else first_day(self.today(), days)
        sums = {key: each for key, each in self._records.sums().items() if key.day >= since}
        by_day: dict[date, int] = {}
        for key, each in sums.items():
            by_day[key.day] = by_day.get(key.day, 0) + each.cost_nano_usd
        times = {name: self._records.times(name) for name in {key.model for key in sums}}
        return Usage(sums, by_day, self._records.requests().escalated, times, True, None)

    def today(self) -> date:
        """Return the current day in UTC."""
        return self._records.today()

    def spent_today(self) -> int:
        """Return the cost of the current day in UTC, in nano-USD."""
        today = self.today()
        return sum(each.cost_nano_usd for key, each in self._records.sums().items() if key.day == today)

    def daily_budget(self) -> None:
        """Return None: a process has no budget of its own."""

    def recommendations(self) -> list[Recommendation]:
        """Return what the sums support."""
        return recommend(self._records.sums(), self._records.requests())


def first_day(today: date, days: int) -> date:
    """Return the first one of so many days, of which today is the last.

    Raises:
        ValueError: `days` is not 1 or more.
    """
    if days < 1:
        raise ValueError(f"days: found {quote(days)}, expected 1 or more")
    return today - timedelta(days=days - 1)
