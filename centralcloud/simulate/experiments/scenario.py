"""Scenarios of experiments: the arms, the traffic, and the troubles that they meet. Times are in seconds."""

from dataclasses import dataclass, replace
from typing import Final

from centralcloud.contracts.canary import CanaryPlan
from centralcloud.runtime.arrays import Floats, np

#: The number of control among the arms; treatments follow.
CONTROL: Final = 0
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """An arm. Values by complexity: one for each of the traffic's.

    Attributes:
        success: rates, 0 to 1.
        latency_ms, cost_usd: medians; None: neither arm's is compared.
        success_delay, failure_delay: means of exponential distributions: how much later an outcome is reported.
        success_lost, failure_lost: shares that are never reported, 0 to 1.
    """

    success: tuple[float, ...]
    latency_ms: tuple[float, ...] | None = None
    cost_usd: tuple[float, ...] | None = None
    success_delay: float = 0.0
    failure_delay: float = 0.0
    success_lost: float = 0.0
    failure_lost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The sessions.

    Attributes:
        sessions_per_minute: that begin, over all arms.
        requests_per_session: on average, 1 to 20.
        request_gap: mean time between two requests of a session.
        likeness: intraclass correlation of the outcomes of a session, 0 to 1.
        complexities: the share of the requests that each has; one: they are not told apart.
        latency_spread, cost_spread: standard deviations of the logarithms.
    """

    sessions_per_minute: float = 150.0
    requests_per_session: float = 4.0
    request_gap: float = 30.0
    likeness: float = 0.1
    complexities: tuple[float, ...] = (1.0,)
    latency_spread: float = 1.0
    cost_spread: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which arms succeed at another rate.

    Attributes:
        arms: numbers of them.
        from_minute, until_minute: the first minute, and the first one after it.
        success: in it, 0 to 1.
    """

    arms: frozenset[int]
    from_minute: int
    until_minute: int
    success: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """When a session is folded: `idle` after its last request, and not before each of its requests is `wait` old.

    Attributes:
        wait: an outcome that has not been reported by then is a failure.
    """

    idle: float = 300.0
    wait: float = 960.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the arms of an A/B test are compared: without a ramp.

    Attributes:
        share: of the sessions that each treatment gets.
        alpha: the probability that any treatment is ever declared different though none is.
        horizon_outcomes: of all arms, after which it ends.
    """

    share: float
    alpha: float = 0.05
    horizon_outcomes: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A simulated experiment.

    Attributes:
        names: of the treatments.
        arms: control, then the treatments. A canary has one, so that each is a canary of its own.
        drift_swing, drift_period: of a sine that is added to the success of all arms, in points (0 to 1) and seconds.
        latency_cap_ms, cost_cap_usd: what takes longer, or costs more, counts as that.
        plan: of a canary, or of an A/B test.
        length: the time after which the simulation ends.
        look: time between two looks.
    """

    names: tuple[str, ...]
    arms: tuple[Arm, ...]
    traffic: Traffic
    plan: CanaryPlan | Comparison
    outages: tuple[Outage, ...] = ()
    drift_swing: float = 0.0
    drift_period: float = 86_400.0
    folding: Folding = Folding()
    latency_cap_ms: float = 10_000.0
    cost_cap_usd: float = 0.1
    length: float = 86_400.0
    look: float = 60.0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are compared, success first."""
        control = self.arms[CONTROL]
        timed, priced = control.latency_ms is not None, control.cost_usd is not None
        return ("success", *(("latency",) if timed else ()), *(("cost",) if priced else ()))

    @property
    def strata(self) -> int:
        """Number of complexities that are told apart."""
        return len(self.traffic.complexities)

    def success_by_minute(self) -> Floats:
        """Return (minutes, arms, complexities) the rates of success."""
        minutes = int(self.length // _MINUTE) + 1
        base = np.array([arm.success for arm in self.arms])
        swing = self.drift_swing * np.sin(2 * np.pi * np.arange(minutes) * _MINUTE / self.drift_period)
        rates: Floats = np.clip(base[None] + swing[:, None, None], 0.0, 1.0)
        for outage in self.outages:
            rates[outage.from_minute : outage.until_minute, sorted(outage.arms)] = outage.success
        return rates

    def canary_of(self, treatment: int) -> "Experiment":
        """Return the experiment with one treatment alone, counted from 0."""
        number = treatment + 1
        outages = [
            replace(each, arms=frozenset(int(arm == number) for arm in each.arms if arm in (CONTROL, number)))
            for each in self.outages
            if each.arms & {CONTROL, number}
        ]
        arms = self.arms[CONTROL], self.arms[number]
        return replace(self, names=(self.names[treatment],), arms=arms, outages=tuple(outages))
