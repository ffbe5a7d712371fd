"""The budget of exploration: whether the fleet may still probe in this period, and the extra cost of each probe.

A choice at random (`INSTANCE_AGENT_EXPLORATION`) counts as a probe.
"""

from typing import Final

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.wording import usd
from instance_agent.spend.refusal import Refusal
from instance_agent.spend.reservation import Reservation
from instance_agent.spend.spender import Spender

log = get_logger(__name__)

#: The reason that a plan gives for a request that would have been a probe.
NO_PROBE: Final = "exploration_budget"


class Exploration:
    """Probes of the fleet, against the budgets with the scope ``exploration``. In the event loop of the gateway.

    The extra cost of a probe is its cost less that of the cheapest model that could have answered; the worst case of it is
    reserved before the probe, and what it was is settled after it, at least 0::

        probe = exploration.begin(worst_extra_nano)     # None: the request goes where it would go without one
        ...
        probe.settle(max(0, cost_nano - cheapest_nano))

    Without such a budget every probe may be. A request never waits for one: without a lease it is not a probe.

    Attributes:
        probes: that have begun since the start.
        stopped: requests that were not a probe because of the budget.
        is_stopped: whether the newest one was stopped.
    """

    def __init__(self, spender: Spender) -> None:
        self._spender = spender
        self.probes = 0
        self.stopped = 0
        self.is_stopped = False
        self._needed = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget of exploration."""
        return bool(self._spender.book.exploration.accounts)

    @property
    def allowed(self) -> bool:
        """Whether requests may be planned as probes: not from a refusal on until its extra cost could be reserved."""
        return not self.is_stopped or self.may_probe(self._needed)

    @property
    def state(self) -> dict[str, object]:
        """The state for people: ``unlimited``, ``allowed`` or ``stopped``, and the counts since the start."""
        status = "stopped" if self.is_stopped else "allowed" if self.is_limited else "unlimited"
        return {"status": status, "probes": self.probes, "stoppedProbes": self.stopped}

    def may_probe(self, worst_extra_nano: int) -> bool:
        """Whether a probe could begin now. Asks for a lease where there is none, so that a later one can."""
        charge = self._spender.book.exploration
        return not worst_extra_nano or self._spender.has(charge, worst_extra_nano)

    def begin(self, worst_extra_nano: int) -> Reservation | None:
        """Reserve the extra cost of a probe; None: the request is not a probe, and the plan says `NO_PROBE`."""
        charge = self._spender.book.exploration
        found = self._spender.reserve_now(charge, worst_extra_nano)
        if isinstance(found, Reservation):
            self.probes += 1
            if self.is_stopped:
                self.is_stopped = False
                log.info("exploration_resumed", budgets=[each.owner.id for each in charge.accounts])
            return found
        self.stopped += 1
        if found is None:
            self._spender.prepare(charge, worst_extra_nano)
        elif not self.is_stopped:
            self._log_stop(found, worst_extra_nano)
        return None

    def _log_stop(self, refusal: Refusal, worst_extra_nano: int) -> None:
        self.is_stopped, self._needed = True, worst_extra_nano
        seconds = refusal.retry_after_seconds
        log.warning(
            "exploration_stopped",
            budget=refusal.meter.partition("/")[2],
            reason=refusal.code,
            needed=usd(worst_extra_nano),
            remaining=None if refusal.remaining is None else usd(refusal.remaining),
            resumes_in_seconds=None if seconds is None else round(seconds),
        )
