"""A simulated fleet: real routers, publishers and score updaters, whose tasks and models are simulated."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from centralcloud.demo import simulated_models
from centralcloud.demo.gateway import DemoGateway
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings
from instance_agent import AgentSettings, InstanceAgent

#: Tasks of each router, on a machine that is fast enough.
_TASKS_PER_SECOND: Final = 200
_TICK_SECONDS: Final = 0.05


class Counters(NamedTuple):
    """The fleet's counters since its start; `choices` by (model, complexity)."""

    tasks: int
    successes: int
    cost_usd: float
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
        self.tasks = 0
        self.successes = 0
        self.cost_usd = 0.0
        self.choices = dict.fromkeys(simulated_models.PAIRS, 0)
        self._simulated = simulated
        self._rng = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=instance_id, daemon=True)

    def start(self) -> None:
        """Start the agent and the tasks."""
        self.agent.start()
        self._thread.start()

    def stop_tasks(self) -> None:
        """Stop the tasks; the agent still sends events and receives scores."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def stop(self) -> None:
        """Stop the tasks and the agent."""
        self.stop_tasks()
        self.agent.stop()

    def _work(self) -> None:
        """Do the tasks of each tick when it is due: the time that they take does not lower the rate.

        A router that is more than a tick late leaves out what it has missed.
        """
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            for _ in range(round(_TASKS_PER_SECOND * _TICK_SECONDS)):
                self._do_task(self._rng.choice(simulated_models.COMPLEXITIES))
            due = max(due + _TICK_SECONDS, time.monotonic() - _TICK_SECONDS)

    def _do_task(self, complexity: str) -> None:
        decision = self.agent.router.route(complexity)
        name = decision.model.name
        answer = self._simulated.call(name, complexity, self._rng)
        self.agent.router.report_outcome(
            decision,
            answer.success,
            answer.response_time_ms,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=answer.cost_usd,
        )
        self.choices[name, complexity] += 1
        self.tasks += 1
        self.successes += answer.success
        self.cost_usd += answer.cost_usd


class Fleet:
    """All simulated instances, and their counters."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        simulated: SimulatedModels,
        *,
        instances: int,
        exploration: float,
        seed: int,
        gateway: DemoGateway | None = None,
    ) -> None:
        """`folder` holds the shared catalog YAML, and a state folder for each instance.

        `exploration` is the share of decisions in which an instance tries any model instead of the best: a rule that asks
        for no probes needs it to keep every score up to date.
        """
        self.gateway = gateway
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

    def start(self) -> None:
        """Start every instance."""
        for instance in self._instances:
            instance.start()

    def stop_tasks(self) -> None:
        """Stop the tasks of every instance."""
        for instance in self._instances:
            instance.stop_tasks()
        if self.gateway is not None:
            self.gateway.stop_tasks()

    def stop(self) -> None:
        """Stop every instance, all at once."""
        with ThreadPoolExecutor(len(self._instances)) as pool:
            list(pool.map(SimulatedInstance.stop, self._instances))

    @property
    def size(self) -> int:
        """Number of instances."""
        return len(self._instances) + (self.gateway is not None)

    @property
    def events_waiting(self) -> int:
        """Events in the memory of the instances that have not been sent yet."""
        waiting = sum(instance.agent.publisher.waiting for instance in self._instances if instance.agent.publisher)
        return waiting + (self.gateway.waiting if self.gateway else 0)

    def counters(self) -> Counters:
        """Add up the counters of every instance, now."""
        everyone: list[SimulatedInstance | DemoGateway] = [*self._instances, *([self.gateway] if self.gateway else [])]
        return Counters(
            tasks=sum(each.tasks for each in everyone),
            successes=sum(each.successes for each in everyone),
            cost_usd=sum(each.cost_usd for each in everyone),
            choices={pair: sum(each.choices[pair] for each in everyone) for pair in simulated_models.PAIRS},
        )
