"""One run of a scenario: tasks are routed, outcomes arrive, and at every tick the rule gives new scores."""

import time
from dataclasses import dataclass, field
from itertools import accumulate, cycle

import numpy as np

from centralcloud.contracts.model_choice.selection import SelectionMode
from centralcloud.learning.rule import Rule, States
from centralcloud.runtime.arrays import Floats
from centralcloud.simulate.adversary import report
from centralcloud.simulate.candidates import Candidate
from centralcloud.simulate.fleet import UNTRIED_SCORE, Fleet
from centralcloud.simulate.ground_truth import GroundTruth, PhaseTruth
from centralcloud.simulate.in_memory_evidence import InMemoryEvidence
from centralcloud.simulate.mail import Mail
from centralcloud.simulate.reports import Tasks
from centralcloud.simulate.told_versions import ToldVersions


@dataclass(slots=True)
class PhaseTotals:
    """Sums over the tasks of one phase.

    Attributes:
        reward: utility: success less the penalties for latency and cost.
        oracle_reward: the reward of the best model of each complexity for the same tasks.
        typed_oracle_reward: the reward of the best model of each complexity and task type.
        success, oracle_success: the same without penalties; the oracle uses the most successful model.
        estimated: number of tasks whose reward is estimated; `least`, `most`: the reward if each of them is a failure, or a
            success.
        traffic: number of tasks of each model; shape (models,).
    """

    traffic: Floats
    events: int = 0
    reward: float = 0.0
    oracle_reward: float = 0.0
    typed_oracle_reward: float = 0.0
    estimated: int = 0
    least: float = 0.0
    most: float = 0.0
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
        self.oracle_reward += float(truth.oracle_utility[tasks.item].sum())
        self.oracle_success += float(truth.oracle_success[tasks.item].sum())
        self.typed_oracle_reward += float(truth.typed_oracle_utility[tasks.item].sum())
        expected = tasks.reward[tasks.estimated]
        self.estimated += len(expected)
        self.least += float(tasks.utility.sum() - expected.sum())
        self.most += float(tasks.utility.sum() + (1 - expected).sum())
        self.probes += probes
        self.timed += int((~np.isnan(tasks.latency_ms)).sum())
        self.latency_ms += float(np.nansum(tasks.latency_ms))
        self.priced += int((~np.isnan(tasks.cost_usd)).sum())
        self.cost_usd += float(np.nansum(tasks.cost_usd))


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
        self._draw, self._lie, choice, filling, post = (np.random.default_rng([seed, part]) for part in range(5))
        self._filling = filling
        self._fleet = Fleet(ground_truth, choice, candidate.known, selection=selection)
        self._evidence = InMemoryEvidence(
            ground_truth.pairs, ground_truth.task_types, scenario.instances, scenario.weights
        )
        self._mail = Mail(scenario.delay, scenario.missing, post)
        self._model = {name: number for number, name in enumerate(ground_truth.models)}
        self._complexity = {name: number for number, name in enumerate(ground_truth.complexities)}
        self._first_item = np.cumsum(ground_truth.items) - ground_truth.items
        self._until = np.cumsum(ground_truth.shares)[:-1]
        self._equal = np.ptp(ground_truth.shares) == 0
        self._scores = np.array(
            [
                [candidate.known.get(model, UNTRIED_SCORE)] * len(ground_truth.complexities)
                for model in ground_truth.models
            ]
        )
        self._result = Run([PhaseTotals(np.zeros(len(ground_truth.models))) for _ in ground_truth.phases])
        self._told = ToldVersions(ground_truth)

    def run(self) -> Run:
        started = time.perf_counter()
        tick_ends = accumulate(cycle(self._ground_truth.scenario.ticks))
        event, tick_begin, tick_end = 0, 0, next(tick_ends)
        for number, (phase, truth) in enumerate(
            zip(self._ground_truth.scenario.phases, self._ground_truth.phases, strict=True)
        ):
            self._told.begin(phase, self._evidence.slices + bool(event > tick_begin))
            self._fleet.offer(truth.present)
            begin, end = event, event + phase.events
            while event < end:
                some = min(end, tick_end) - event
                self._route(number, truth, event, some)
                event += some
                if event == tick_end:
                    self._learn(number, tick_begin, event, event - begin)
                    tick_begin, tick_end = tick_end, next(tick_ends)
        self._result.seconds = time.perf_counter() - started
        return self._result

    def _route(self, phase: int, truth: PhaseTruth, first_event: int, count: int) -> None:
        draw, ground_truth = self._draw, self._ground_truth
        if self._equal:
            complexity = draw.integers(len(ground_truth.complexities), size=count)
        else:
            complexity = np.searchsorted(self._until, draw.random(count), side="right")
        item = self._first_item[complexity] + (draw.random(count) * ground_truth.items[complexity]).astype(np.int64)
        instance = draw.integers(ground_truth.scenario.instances, size=count)
        model, probes = self._fleet.choose(complexity, truth.outcomes.task_type[item])
        tasks = Tasks.done(truth, instance, item, model)
        self._result.phases[phase].add(tasks, truth, probes)
        self._told.count(tasks)
        told = tasks.drawn(self._filling)
        self._mail.post(
            report(told, truth, first_event, ground_truth.scenario.adversaries, self._lie), first_event + count
        )

    def _learn(self, phase: int, tick_begin: int, event: int, event_in_phase: int) -> None:
        memory = self._evidence
        memory.add_slice(self._mail.arrived(event), tick_begin)
        excluded = frozenset(found.instance_id for found in self._rule.exclude(memory.recent()))
        evidence = memory.without(excluded)
        evidence.changes, evidence.new_versions = self._told.changes, self._told.new_versions
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
