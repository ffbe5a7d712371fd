"""Scenario files of experiments: JSON, checked, with the treatments that differ from control in what they name."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.contracts.canary import CanaryPlan
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import ExperimentPlan
from centralcloud.simulate.checked_json import FORM, either, explain, read_json
from centralcloud.simulate.experiments.scenario import (
    Arm,
    Comparison,
    Experiment,
    Folding,
    Outage,
    Traffic,
)
from centralcloud.simulate.experiments.sessions import MOST_REQUESTS

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
_Spread = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
_Weight = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
_StepShare = Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)]
_Minutes = Annotated[int, Field(ge=0, le=100_000)]
_Outcomes = Annotated[int, Field(ge=1, le=1_000_000_000)]
_By = either(_Share, dict[str, _Share])
_PositiveBy = either(_Positive, dict[str, _Positive])
#: In an outage: all arms.
_ALL: Final = "all"
_CONTROL: Final = "control"
_MOST_TREATMENTS: Final = 20
_MINUTE: Final = 60.0
_DAY_MINUTES: Final = 1440
#: A session whose requests are farther apart would often be folded before its end.
_GAPS_IN_IDLE_TIME: Final = 8
_PLAN: Final = CanaryPlan()
_ENTRY: Final = ExperimentPlan()
#: Fields of a canary's plan that the rule knows by the same names.
_SAME_NAMES: Final = tuple(name for name in CanaryPlan._fields if name not in ("steps", "win_needed"))


class _Part(BaseModel):
    model_config = FORM


class _Delay(_Part):
    success: _Seconds = 0.0
    failure: _Seconds = 0.0


class _Lost(_Part):
    success: _Share = 0.0
    failure: _Share = 0.0


class _Treatment(_Part):
    success: _By | None = None  # type: ignore[valid-type]
    latency_ms: _PositiveBy | None = None  # type: ignore[valid-type]
    cost_usd: _PositiveBy | None = None  # type: ignore[valid-type]
    delay_seconds: _Delay | None = None
    lost: _Lost | None = None


class _Control(_Part):
    success: _By  # type: ignore[valid-type]
    latency_ms: _PositiveBy | None = None  # type: ignore[valid-type]
    cost_usd: _PositiveBy | None = None  # type: ignore[valid-type]
    delay_seconds: _Delay = _Delay()
    lost: _Lost = _Lost()


class _Traffic(_Part):
    sessions_per_minute: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = 150.0
    requests_per_session: Annotated[float, Field(ge=1, le=MOST_REQUESTS, allow_inf_nan=False)] = 4.0
    seconds_between_requests: _Seconds = 30.0
    likeness: _Share = 0.1
    complexities: Annotated[dict[str, _Weight], Field(min_length=1)] | None = None
    latency_spread: _Spread = 1.0
    cost_spread: _Spread = 0.5


class _Outage(_Part):
    arm: str
    from_minute: _Minutes
    minutes: Annotated[int, Field(ge=1, le=100_000)]
    success: _Share = 0.0


class _Drift(_Part):
    swing: _Share
    period_minutes: Annotated[int, Field(ge=1, le=100_000)] = _DAY_MINUTES


class _Plan(BaseModel):
    """The plan as an experiment of the fleet has it, by the same names."""

    model_config = ConfigDict(**FORM, alias_generator=to_camel)

    alpha: _Probability = _PLAN.alpha
    latency_cap_ms: _Positive = _ENTRY.latency_cap_ms
    cost_cap_usd: _Positive = _ENTRY.cost_cap_usd
    idle_seconds: _Seconds = _ENTRY.idle_seconds
    outcome_within_seconds: _Seconds = _ENTRY.outcome_within_seconds


class _CanaryPlan(_Plan):
    steps: Annotated[list[_StepShare], Field(min_length=1, max_length=20)] = list(_PLAN.steps)
    dwell_seconds: _Seconds = _PLAN.dwell_seconds
    margin: _Probability = _PLAN.margin
    harm_budget: _Probability = _PLAN.harm_budget
    ratio_limit: _Probability = _PLAN.ratio_limit
    rollback_alpha: _Probability = _PLAN.rollback_alpha
    require_better: bool = _PLAN.win_needed
    least_treated: Annotated[int, Field(ge=0, le=1_000_000)] = _PLAN.least_treated
    retries: Annotated[int, Field(ge=0, le=100)] = _PLAN.retries
    retry_pause_seconds: _Seconds = _PLAN.retry_pause_seconds
    horizon_seconds: _Seconds = _PLAN.horizon_seconds
    horizon_outcomes: _Outcomes = _PLAN.horizon_outcomes
    hold_seconds: _Seconds = _PLAN.hold_seconds


class _AbPlan(_Plan):
    steps: Annotated[list[Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]], Field(max_length=1)] = []
    horizon_outcomes: _Outcomes = Comparison(share=0.5).horizon_outcomes


class _Experiment(_Part):
    about: str = ""
    kind: Literal["canary", "ab"] = "canary"
    control: _Control
    treatments: Annotated[dict[str, _Treatment], Field(min_length=1, max_length=_MOST_TREATMENTS)]
    traffic: _Traffic = _Traffic()
    outages: Annotated[list[_Outage], Field(max_length=1000)] = []
    drift: _Drift = _Drift(swing=0.0)
    minutes: Annotated[int, Field(ge=1, le=100_000)] = _DAY_MINUTES
    look_seconds: Annotated[int, Field(ge=1, le=600)] = 60


class _Canary(_Experiment):
    plan: _CanaryPlan = _CanaryPlan()


class _Ab(_Experiment):
    plan: _AbPlan = _AbPlan()


#: The parts of a scenario, by their key: they say which keys are expected inside.
_KEYS: Final[Mapping[str, type[BaseModel]]] = {
    "control": _Control,
    "treatments": _Treatment,
    "delay_seconds": _Delay,
    "lost": _Lost,
    "traffic": _Traffic,
    "outages": _Outage,
    "drift": _Drift,
}


def read_experiment(path: Path) -> Experiment:
    """Read an experiment from a JSON file.

    Raises:
        SettingsError: the file cannot be read or is not an experiment; the message names the place.
    """
    return experiment_from(read_json(path), place=str(path))


def experiment_from(written: Any, *, place: str = "experiment") -> Experiment:
    """Make the experiment that a JSON value describes; error messages begin with `place`.

    Raises:
        SettingsError: as `read_experiment`.
    """
    if not isinstance(written, dict):
        raise SettingsError(f"{place}: found {quote(written)}, expected an object with control and treatments")
    is_ab = written.get("kind") == "ab"
    form: type[_Canary] | type[_Ab] = _Ab if is_ab else _Canary
    keys = {**_KEYS, "": form, "plan": _AbPlan if is_ab else _CanaryPlan}
    try:
        parts = form.model_validate(written)
    except ValidationError as error:
        raise SettingsError(f"{place}: {explain(error, keys)}") from None
    return _Resolver(place, parts).experiment()


class _Resolver:
    """Resolves what a file leaves open, and checks what concerns more than one value."""

    def __init__(self, place: str, parts: _Canary | _Ab) -> None:
        self._place = place
        self._parts = parts
        self._names = tuple(parts.treatments)
        self._complexities = parts.traffic.complexities

    def experiment(self) -> Experiment:
        parts = self._parts
        self._check_names()
        self._check_complexities()
        self._check_times()
        control = self._arm(parts.control, _CONTROL)
        treatments = [self._treatment(name) for name in self._names]
        return Experiment(
            names=self._names,
            arms=(control, *treatments),
            traffic=self._traffic(),
            plan=self._plan(),
            outages=tuple(self._outage(each, f"outages[{number}]") for number, each in enumerate(parts.outages)),
            drift_swing=parts.drift.swing,
            drift_period=parts.drift.period_minutes * _MINUTE,
            folding=Folding(idle=parts.plan.idle_seconds, wait=parts.plan.outcome_within_seconds),
            latency_cap_ms=parts.plan.latency_cap_ms,
            cost_cap_usd=parts.plan.cost_cap_usd,
            length=parts.minutes * _MINUTE,
            look=float(parts.look_seconds),
        )

    def _traffic(self) -> Traffic:
        traffic = self._parts.traffic
        return Traffic(
            sessions_per_minute=traffic.sessions_per_minute,
            requests_per_session=traffic.requests_per_session,
            request_gap=traffic.seconds_between_requests,
            likeness=traffic.likeness,
            complexities=tuple((self._complexities or {"": 1.0}).values()),
            latency_spread=traffic.latency_spread,
            cost_spread=traffic.cost_spread,
        )

    def _treatment(self, name: str) -> Arm:
        """Return a treatment: what it does not name is as in control."""
        control, own = self._parts.control, self._parts.treatments[name]
        place = f"treatments.{name}"
        for metric in ("latency_ms", "cost_usd"):
            if getattr(own, metric) is not None and getattr(control, metric) is None:
                raise self._wrong(f"{place}.{metric}", getattr(own, metric), f"control.{metric}, too")
        chosen = {key: getattr(own if getattr(own, key) is not None else control, key) for key in own.model_fields_set}
        return self._arm(control.model_copy(update=chosen), place)

    def _arm(self, arm: _Control, place: str) -> Arm:
        success = self._by_complexity(arm.success, f"{place}.success")
        assert success is not None
        latency = self._by_complexity(arm.latency_ms, f"{place}.latency_ms")
        cost = self._by_complexity(arm.cost_usd, f"{place}.cost_usd")
        plan = self._parts.plan
        for values, cap, key, name in (
            (latency, plan.latency_cap_ms, "latency_ms", "latencyCapMs"),
            (cost, plan.cost_cap_usd, "cost_usd", "costCapUsd"),
        ):
            if place == _CONTROL and values is not None and max(values) >= cap:
                expected = f"less than plan.{name}, {cap:g}: half of it would count as the cap"
                raise self._wrong(f"{place}.{key}", max(values), expected)
        return Arm(
            success=success,
            latency_ms=latency,
            cost_usd=cost,
            success_delay=arm.delay_seconds.success,
            failure_delay=arm.delay_seconds.failure,
            success_lost=arm.lost.success,
            failure_lost=arm.lost.failure,
        )

    def _by_complexity(self, value: float | dict[str, float] | None, place: str) -> tuple[float, ...] | None:
        known = self._complexities
        if value is None:
            return None
        if not isinstance(value, dict):
            return (value,) * len(known or (1,))
        if known is None:
            raise self._wrong(place, value, "one number, or traffic.complexities")
        for complexity in value:
            if complexity not in known:
                raise self._wrong(place, complexity, f"complexities of the traffic: {', '.join(known)}")
        if len(value) < len(known):
            raise self._wrong(place, list(value), f"a number for each of {', '.join(known)}")
        return tuple(value[complexity] for complexity in known)

    def _plan(self) -> CanaryPlan | Comparison:
        plan = self._parts.plan
        if isinstance(plan, _CanaryPlan):
            for number, (step, following) in enumerate(pairwise(plan.steps)):
                if following <= step:
                    raise self._wrong(f"plan.steps[{number + 1}]", following, f"more than {step:g}, the step before")
            return CanaryPlan(
                steps=tuple(plan.steps),
                win_needed=plan.require_better,
                **{name: getattr(plan, name) for name in _SAME_NAMES},
            )
        most = 1 / len(self._names)
        share = plan.steps[0] if plan.steps else 1 / (len(self._names) + 1)
        if share >= most:
            raise self._wrong("plan.steps[0]", share, f"less than {most:g} for each of {len(self._names)} treatments")
        return Comparison(share=share, alpha=plan.alpha, horizon_outcomes=plan.horizon_outcomes)

    def _outage(self, outage: _Outage, place: str) -> Outage:
        names = (_CONTROL, *self._names)
        if outage.arm == _ALL:
            arms = frozenset(range(len(names)))
        elif outage.arm in names:
            arms = frozenset({names.index(outage.arm)})
        else:
            raise self._wrong(f"{place}.arm", outage.arm, f"one of {', '.join((_ALL, *names))}")
        return Outage(
            arms=arms,
            from_minute=outage.from_minute,
            until_minute=outage.from_minute + outage.minutes,
            success=outage.success,
        )

    def _check_names(self) -> None:
        for name in self._names:
            if not name.strip() or name in (_ALL, _CONTROL):
                raise self._wrong("treatments", name, f"a name other than {_ALL} and {_CONTROL}")

    def _check_complexities(self) -> None:
        for name in self._complexities or ():
            if name not in COMPLEXITIES:
                raise self._wrong("traffic.complexities", name, f"some of {', '.join(COMPLEXITIES)}")

    def _check_times(self) -> None:
        idle, gap = self._parts.plan.idle_seconds, self._parts.traffic.seconds_between_requests
        if gap > idle / _GAPS_IN_IDLE_TIME:
            expected = f"at most {idle / _GAPS_IN_IDLE_TIME:g}, an eighth of plan.idleSeconds"
            raise self._wrong("traffic.seconds_between_requests", gap, expected)

    def _wrong(self, place: str, found: Any, expected: str) -> SettingsError:
        return SettingsError(f"{self._place}: {place}: found {quote(found)}, expected {expected}")
