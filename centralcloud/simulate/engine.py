"""One run of a scenario: tasks are routed, outcomes arrive, and at every tick the rule gives new scores."""

import random
import time
from dataclasses import dataclass, field

import numpy as np

from centralcloud.learning.arrays import Floats
from centralcloud.learning.rule import Rule, States
from centralcloud.simulate.adversary import report
from centralcloud.simulate.candidates import Candidate
from centralcloud.simulate.fleet import UNTRIED_SCORE, Fleet
from centralcloud.simulate.ground_truth import GroundTruth, Integers, PhaseTruth
from centralcloud.simulate.in_memory_evidence import InMemoryEvidence
from centralcloud.simulate.reports import Reports, Tasks
from centralcloud.simulate.told_versions import ToldVersions
from instance_agent.routing.selection import SelectionMode


@dataclass(slots=True)
class PhaseTotals:
    """Sums over the tasks of one phase.

    Attributes:
        reward: utility: success less the penalties for latency and cost.
        oracle_reward: the reward of the best model of each complexity for the same tasks.
        success, oracle_success: the same without penalties; the oracle uses the most successful model.
        traffic: number of tasks of each model; shape (models,).
    """

    traffic: Floats
    events: int = 0
    reward: float = 0.0
    oracle_reward: float = 0.0
    success: float = 0.0
    oracle_success: float = 0.0
    probes: int = 0
    timed: int = 0
    latency_ms: float = 0.0
    priced: int = 0
    cost_usd: float = 0.0

    def add(self, tasks: Tasks, truth: PhaseTruth, probes: int) -> None:
        """Count completed tasks."""
        self.events += len(tasks.item)
        self.traffic += np.bincount(tasks.model, minlength=len(self.traffic))
        self.reward += float(tasks.utility.sum())
        self.success += float(tasks.reward.sum())
        self.oracle_reward += float(self._by(truth.best, tasks, truth).utility.sum())
        self.oracle_success += float(self._by(truth.most_successful, tasks, truth).reward.sum())
        self.probes += probes
        self.timed += int((~np.isnan(tasks.latency_ms)).sum())
        self.latency_ms += float(np.nansum(tasks.latency_ms))
        self.priced += int((~np.isnan(tasks.cost_usd)).sum())
        self.cost_usd += float(np.nansum(tasks.cost_usd))

    def _by(self, models: Integers, tasks: Tasks, truth: PhaseTruth) -> Tasks:
        return Tasks.done(truth, tasks.instance, tasks.complexity, tasks.item, models[tasks.complexity])


@dataclass(frozen=True, slots=True)
class Tick:
    """One run of the rule.

    Attributes:
        phase: number of the phase.
        event, event_in_phase: number of tasks before the tick, in the scenario and in the phase.
        scores: the score of every pair after the tick; shape (models, complexities).
        alarms: the pairs for which the rule raised an alarm, as numbers of model and complexity.
        excluded: the instances that the rule excluded, by number.
    """

    phase: int
    event: int
    event_in_phase: int
    scores: Floats
    alarms: tuple[tuple[int, int], ...]
    excluded: frozenset[int]


@dataclass(slots=True)
class Run:
    """The result of one run.

    Attributes:
        seconds: wall time of the run; `rule_seconds`: the time in the rule.
    """

    phases: list[PhaseTotals]
    ticks: list[Tick] = field(default_factory=list)
    seconds: float = 0.0
    rule_seconds: float = 0.0


def simulate(ground_truth: GroundTruth, candidate: Candidate, seed: int, *, selection: SelectionMode = "auto") -> Run:
    """Run the scenario once. Equal seeds give equal tasks, whatever the rule, and equal runs of one rule."""
    return _Simulation(ground_truth, candidate, seed, selection).run()


class _Simulation:
    def __init__(self, ground_truth: GroundTruth, candidate: Candidate, seed: int, selection: SelectionMode) -> None:
        scenario = ground_truth.scenario
        self._ground_truth = ground_truth
        self._rule: Rule = candidate.rule
        self._states: States = {}
        self._draw, self._lie = (np.random.default_rng([seed, part]) for part in range(2))
        self._fleet = Fleet(ground_truth, random.Random(seed), candidate.known, selection=selection)
        self._evidence = InMemoryEvidence(ground_truth.pairs, scenario.instances, scenario.weights)
        self._model = {name: number for number, name in enumerate(ground_truth.models)}
        self._complexity = {name: number for number, name in enumerate(ground_truth.complexities)}
        self._scores = np.array(
            [
                [candidate.known.get(model, UNTRIED_SCORE)] * len(ground_truth.complexities)
                for model in ground_truth.models
            ]
        )
        self._result = Run([PhaseTotals(np.zeros(len(ground_truth.models))) for _ in ground_truth.phases])
        self._pending: list[Reports] = []
        self._told = ToldVersions(ground_truth)

    def run(self) -> Run:
        started = time.perf_counter()
        tick = self._ground_truth.scenario.tick
        event = 0
        for number, (phase, truth) in enumerate(
            zip(self._ground_truth.scenario.phases, self._ground_truth.phases, strict=True)
        ):
            self._told.begin(phase, self._evidence.slices + bool(self._pending))
            self._fleet.offer(np.flatnonzero(truth.present).tolist())
            begin, end = event, event + phase.events
            while event < end:
                some = min(end - event, tick - event % tick)
                self._route(number, truth, event, some)
                event += some
                if event % tick == 0:
                    self._learn(number, event, event - begin)
        self._result.seconds = time.perf_counter() - started
        return self._result

    def _route(self, phase: int, truth: PhaseTruth, first_event: int, count: int) -> None:
        draw, ground_truth = self._draw, self._ground_truth
        complexity = draw.integers(len(ground_truth.complexities), size=count)
        item = (draw.random(count) * ground_truth.items[complexity]).astype(np.int64)
        instance = draw.integers(ground_truth.scenario.instances, size=count)
        model, probes = self._fleet.choose(complexity)
        tasks = Tasks.done(truth, instance, complexity, item, model)
        self._result.phases[phase].add(tasks, truth, probes)
        self._told.count(tasks)
        self._pending.append(report(tasks, truth, first_event, ground_truth.scenario.adversaries, self._lie))

    def _learn(self, phase: int, event: int, event_in_phase: int) -> None:
        memory = self._evidence
        memory.add_slice(Reports.joined(self._pending), event - self._ground_truth.scenario.tick)
        self._pending.clear()
        excluded = frozenset(found.instance_id for found in self._rule.exclude(memory.recent()))
        evidence = memory.without(excluded)
        evidence.changes = self._told.changes
        deciding = time.perf_counter()
        result = self._rule.evaluate(evidence, self._states)
        self._result.rule_seconds += time.perf_counter() - deciding
        self._states = result.states
        self._fleet.learn(result.scores)
        for score in result.scores:
            self._scores[self._model[score.model], self._complexity[score.complexity]] = float(score.score)
        self._result.ticks.append(
            Tick(
                phase=phase,
                event=event,
                event_in_phase=event_in_phase,
                scores=self._scores.copy(),
                alarms=tuple((self._model[alarm.model], self._complexity[alarm.complexity]) for alarm in result.alarms),
                excluded=frozenset(map(memory.instance_number, excluded)),
            )
        )
