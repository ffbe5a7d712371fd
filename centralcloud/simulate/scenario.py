"""What happens in a simulation: which models there are, when they change, and which instances lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ADVERSARY_KINDS: Final = ("all_failure", "invert", "fabricate", "flood", "drip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch in which nothing changes.

    Attributes:
        events: tasks in it.
        serve: a model silently answers with the outcomes of another one.
        absent: not in the catalogs of the instances.
        slow: by what the latency of a model is multiplied.
        outage: always fails.
    """

    events: int
    serve: Mapping[str, str]
    absent: frozenset[str]
    slow: Mapping[str, float]
    outage: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversary:
    """An instance whose reports are not what happened.

    Attributes:
        instance: counted from 0.
        kind: one of `ADVERSARY_KINDS`; `adversary.py` says what each reports.
        from_event: the first of all tasks from which on it lies.
    """

    instance: int
    kind: str
    from_event: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What latency and cost take off a success, both for the rule and for judging it.

    Attributes:
        latency, cost: what the reference or more takes off, 0 to 1.
        latency_ref_ms, cost_ref_usd: the references.
    """

    latency: float = 0.1
    latency_ref_ms: int = 10_000
    cost: float = 0.0
    cost_ref_usd: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One course of events.

    Attributes:
        models: what the instances' catalogs list, less what is absent in a phase.
        instances: routers, each of which takes an equal share of the tasks.
        tick: the rule runs after every so many tasks.
    """

    models: tuple[str, ...]
    instances: int
    tick: int
    phases: tuple[Phase, ...]
    adversaries: tuple[Adversary, ...] = ()
    weights: Weights = Weights()

    @property
    def events(self) -> int:
        """How many tasks there are."""
        return sum(phase.events for phase in self.phases)

    @property
    def answering(self) -> tuple[str, ...]:
        """Every model whose outcomes are needed: those that are offered, then those that only answer for others."""
        served = [other for phase in self.phases for other in phase.serve.values()]
        return tuple(dict.fromkeys([*self.models, *served]))
