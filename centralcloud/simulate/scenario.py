"""Scenarios: which models there are, when they change, and which instances report falsely."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from centralcloud.contracts.task_score import MAX_TASK_TYPES

ADVERSARY_KINDS: Final = ("all_failure", "invert", "fabricate", "flood", "drip")
#: A fleet tells 32 task types apart, of which the last is the rest.
MOST_TASK_TYPES: Final = MAX_TASK_TYPES - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stage of the scenario, during which nothing changes.

    Attributes:
        events: number of tasks.
        serve: models that silently answer with the outcomes of another one: that other model by complexity.
        absent: models that are not in the catalogs of the instances.
        slow, price: models with a factor for their latency, or for their cost.
        outage: models that always fail.
        told: answers name the model that they come from, as `model_version` does: the rule is told which models have changed
            with this phase. It knows the versions of earlier phases already.
    """

    events: int
    serve: Mapping[str, Mapping[str, str]]
    absent: frozenset[str]
    slow: Mapping[str, float]
    price: Mapping[str, float]
    outage: frozenset[str]
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversary:
    """An instance whose reports are false (`poison` in a scenario file).

    Attributes:
        instance: counted from 0.
        kind: one of `ADVERSARY_KINDS`; `adversary.py` describes them.
        from_event: number of the first task that it reports falsely.
    """

    instance: int
    kind: str
    from_event: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The penalties for latency and cost, both for the rule and for its evaluation.

    Attributes:
        latency, cost: the penalty at the reference or above, 0 to 1.
        latency_ref_ms, cost_ref_usd: the references.
    """

    latency: float = 0.1
    latency_ref_ms: int = 10_000
    cost: float = 0.0
    cost_ref_usd: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """How much later than the choice an outcome is reported: the means of exponential distributions, in tasks."""

    success: float = 0.0
    failure: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The shares of the reports that lack the latency, or the cost, 0 to 1."""

    latency: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A simulated course of events.

    Attributes:
        models: the models in the catalogs of the instances, except for those that are absent in a phase.
        instances: number of routers; each takes an equal share of the tasks.
        ticks: number of tasks before each run of the rule, in turn.
        complexities: the share of the tasks that each complexity has; empty: all that the table has are equally frequent.
        task_types: task types that are told apart, the most frequent ones of the table; the rest is `other`. 0: none.
    """

    models: tuple[str, ...]
    instances: int
    ticks: tuple[int, ...]
    phases: tuple[Phase, ...]
    adversaries: tuple[Adversary, ...] = ()
    weights: Weights = Weights()
    complexities: Mapping[str, float] = field(default_factory=dict)
    delay: Delay = Delay()
    missing: Missing = Missing()
    task_types: int = MOST_TASK_TYPES

    @property
    def events(self) -> int:
        """Number of tasks."""
        return sum(phase.events for phase in self.phases)

    @property
    def answering(self) -> tuple[str, ...]:
        """Every model whose outcomes are needed: those in the catalogs, then those that only answer for others."""
        served = [other for phase in self.phases for others in phase.serve.values() for other in others.values()]
        return tuple(dict.fromkeys([*self.models, *served]))
