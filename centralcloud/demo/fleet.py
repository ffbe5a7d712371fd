"""A simulated fleet: real routers, publishers and score updaters, whose tasks and models are simulated."""

import random
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from centralcloud.demo import simulated_models
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings
from instance_agent import AgentSettings, InstanceAgent

DECISIONS_PER_SECOND: Final = 200
_TICKS_PER_SECOND: Final = 20
#: Rates and shares are those of this many newest marks (seconds).
_RECENT_MARKS: Final = 5
_SHARE_MARKS: Final = 2


class _Mark(NamedTuple):
    """The fleet's counters at one moment; `choices` by (model, complexity)."""

    decisions: int
    successes: int
    choices: dict[tuple[str, str], int]


class SimulatedInstance:
    """One instance: a thread that routes tasks, 'calls' the chosen model, and reports the outcome."""

    def __init__(
        self,
        instance_id: str,
        database: Database,
        simulated: SimulatedModels,
        *,
        catalog: Path,
        state: Path,
        exploration: float,
        seed: int,
    ) -> None:
        settings = load_settings(
            AgentSettings,
            INSTANCE_ID=instance_id,
            EX_LLM_PGMQ_ENABLED=True,
            catalog=catalog,
            state_dir=state,
            exploration=exploration,
            ignore_learned=False,
            http_port=0,
            poll_interval_seconds=2,
        )
        self.agent = InstanceAgent(settings, database)
        self.instance_id = instance_id
        self.decisions = 0
        self.successes = 0
        self.choices = dict.fromkeys(simulated_models.PAIRS, 0)
        self._simulated = simulated
        self._rng = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=instance_id, daemon=True)

    def start(self) -> None:
        """Start the agent and the tasks."""
        self.agent.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop the tasks, and send the events that are left."""
        self._stopping.set()
        self._thread.join()
        self.agent.stop()

    def _work(self) -> None:
        while not self._stopping.wait(1 / _TICKS_PER_SECOND):
            for _ in range(DECISIONS_PER_SECOND // _TICKS_PER_SECOND):
                self._do_task(self._rng.choice(simulated_models.COMPLEXITIES))

    def _do_task(self, complexity: str) -> None:
        decision = self.agent.router.route(complexity)
        name = decision.model.name
        success, response_time_ms = self._simulated.call(name, complexity, self._rng)
        self.agent.router.report_outcome(decision, success, response_time_ms)
        self.choices[name, complexity] += 1
        self.decisions += 1
        self.successes += success


class Fleet:
    """All simulated instances, and statistics of the whole fleet."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        simulated: SimulatedModels,
        *,
        instances: int,
        exploration: float,
        seed: int,
    ) -> None:
        """`folder` holds the shared catalog YAML, and a state folder for each instance.

        `exploration` is the share of decisions in which an instance tries any model instead of the best: a rule that asks
        for no probes needs it to keep every score up to date.
        """
        folder.mkdir(parents=True, exist_ok=True)
        catalog = folder / "catalog.yaml"
        models = [model.model_dump(mode="json", exclude_none=True) for model in simulated_models.catalog()]
        catalog.write_text(yaml.safe_dump({"models": models}, sort_keys=False))
        self._instances = [
            SimulatedInstance(
                f"demo-{number}",
                database,
                simulated,
                catalog=catalog,
                state=folder / f"demo-{number}",
                exploration=exploration,
                seed=seed * 1000 + number,
            )
            for number in range(1, instances + 1)
        ]
        self.exploration = exploration
        nothing = _Mark(0, 0, dict.fromkeys(simulated_models.PAIRS, 0))
        self._marks: deque[_Mark] = deque([nothing], maxlen=_RECENT_MARKS + 1)
        self.first_rate: float | None = None

    def start(self) -> None:
        """Start every instance."""
        for instance in self._instances:
            instance.start()

    def stop(self) -> None:
        """Stop every instance, all at once."""
        with ThreadPoolExecutor(len(self._instances)) as pool:
            list(pool.map(SimulatedInstance.stop, self._instances))

    @property
    def decisions(self) -> int:
        """Decisions of the whole fleet so far."""
        return sum(instance.decisions for instance in self._instances)

    @property
    def size(self) -> int:
        """Number of instances."""
        return len(self._instances)

    def mark_second(self) -> None:
        """Remember the counters; call it once a second."""
        choices = {pair: sum(instance.choices[pair] for instance in self._instances) for pair in simulated_models.PAIRS}
        self._marks.append(_Mark(self.decisions, sum(instance.successes for instance in self._instances), choices))
        if self.first_rate is None and self.decisions > DECISIONS_PER_SECOND * self.size:
            self.first_rate = self.recent_rate

    @property
    def recent_rate(self) -> float:
        """Success rate of the fleet over the last five marks."""
        before, now = self._marks[0], self._marks[-1]
        return (now.successes - before.successes) / max(1, now.decisions - before.decisions)

    def recent_share(self, model: str, complexity: str) -> float:
        """Share of the tasks of a complexity that went to a model over the last two marks, 0 to 1."""
        before, now = self._marks[max(0, len(self._marks) - 1 - _SHARE_MARKS)], self._marks[-1]
        chosen = {pair: now.choices[pair] - before.choices[pair] for pair in now.choices if pair[1] == complexity}
        return chosen[model, complexity] / max(1, sum(chosen.values()))
