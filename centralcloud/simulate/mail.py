"""The way of a report from an instance to the evidence: some arrive late, some lack a number."""

import numpy as np

from centralcloud.runtime.arrays import Floats
from centralcloud.simulate.reports import Reports
from centralcloud.simulate.scenario import Delay, Missing

#: A graded reward of at least this is delayed as a success.
_SUCCESS = 0.5


class Mail:
    """The reports that are on their way."""

    def __init__(self, delay: Delay, missing: Missing, rng: np.random.Generator) -> None:
        self._delay = delay
        self._missing = missing
        self._rng = rng
        self._under_way: list[tuple[Reports, Floats]] = []

    def post(self, reports: Reports, event: int) -> None:
        """Take reports of tasks that were done before task number `event`."""
        count = len(reports.reward)
        mean = np.where(reports.reward >= _SUCCESS, self._delay.success, self._delay.failure)
        late = mean * self._rng.exponential(size=count) if mean.any() else mean
        latency_ms, cost_usd = (
            np.where(self._rng.random(count) < share, np.nan, values) if share else values
            for values, share in (
                (reports.latency_ms, self._missing.latency),
                (reports.cost_usd, self._missing.cost),
            )
        )
        sent = Reports(reports.instance, reports.pair, reports.task_type, reports.reward, latency_ms, cost_usd)
        self._under_way.append((sent, event + late))

    def arrived(self, event: int) -> Reports:
        """Return the reports that arrive before task number `event`, and forget them."""
        reports = Reports.joined([reports for reports, _ in self._under_way])
        arrival = np.concatenate([arrival for _, arrival in self._under_way])
        here = arrival <= event
        if here.all():
            self._under_way.clear()
            return reports
        later = np.flatnonzero(~here)
        self._under_way[:] = [(reports.chosen(later), arrival[later])]
        return reports.chosen(np.flatnonzero(here))
