"""Three gateways with simulated models, a worker and clients whose sessions are in experiments: for canaries end to end.

Each canary has a task type for its scope, so that several run side by side in one fleet.
"""

import asyncio
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import aiohttp

from support.commands import run_command
from support.gateways import Gateway, a_key
from support.ports import free_port
from support.programs import Program
from support.servers import OwnServer, embedded_folder
from support.waiting import eventually

#: The model that control has: that of the highest score in the catalog, as the learner does not run.
INCUMBENT: Final = "borealis-pro"
_WORKER: Final = {
    "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.1",
    "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "3600",
    "CENTRALCLOUD_EXPERIMENTS_INTERVAL_SECONDS": "0.2",
    "CENTRALCLOUD_LOG_FORMAT": "json",
}
#: Times of a canary in seconds of a test. The window is ten "minutes" of 0.2 s.
FAST: Final[dict[str, Any]] = {
    "steps": [0.05, 0.25, 0.5],
    "dwellSeconds": 1.0,
    "leastTreated": 20,
    "margin": 0.1,
    "harmBudget": 0.05,
    "requireBetter": False,
    "retries": 0,
    "retryPauseSeconds": 2.0,
    "idleSeconds": 1.0,
    "outcomeWithinSeconds": 2.0,
    "windowSeconds": 2.0,
    "latencyCapMs": 500.0,
    "costCapUsd": 0.0005,
    "horizonSeconds": 600.0,
    "holdSeconds": 1.0,
}


class ExperimentFleet:
    """The fleet.

    Attributes:
        server: the PostgreSQL of its own.
        worker: `centralcloud run`.
        gateways: the replicas, running or not; each keeps its port and its folder.
    """

    def __init__(self, folder: Path, server: OwnServer) -> None:
        self.server = server
        self._folder = folder
        self._programs: list[Program] = []
        self._ports = [free_port() for _ in range(3)]
        self._truth: dict[str, dict[str, Any]] = {}
        self.key = a_key(server.url, "admin")
        self.worker = self.start_worker()
        self.gateways = [self._start(number) for number in range(3)]

    @property
    def urls(self) -> list[str]:
        """Addresses of the replicas."""
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    def start_worker(self) -> Program:
        """Start a worker."""
        self.worker = self._program("centralcloud", "run", DATABASE_URL=self.server.url, **_WORKER)
        self.worker.wait_for("started")
        return self.worker

    def start_again(self, number: int) -> None:
        """Start a replica that has ended; its simulated models are as those of the others."""
        self.gateways[number] = self._start(number)
        for path, change in self._truth.items():
            _post(self._simulation(number), path, change)

    def change(self, path: str, **change: Any) -> None:
        """Change the simulated models or providers of every replica: ``models/NAME`` or ``providers/NAME``."""
        self._truth[path] = change
        for number in range(3):
            _post(self._simulation(number), path, change)

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command of centralcloud, and return what it prints."""
        done = run_command("centralcloud", *arguments, env={"DATABASE_URL": self.server.url})
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def begin(self, name: str, model: str, **plan: Any) -> str:
        """Start a canary of a model for the task type `name`, and return its id."""
        file = self._folder / f"{name}.json"
        described = {
            "name": name,
            "kind": "canary",
            "scope": {"taskTypes": [name]},
            "treatments": [{"name": "new", "model": model}],
            "plan": FAST | plan,
        }
        file.write_text(json.dumps(described))
        found: str = json.loads(self.run("experiments", "start", str(file), "--any-model", "--json"))["experiment"][
            "id"
        ]
        return found

    def stage(self, experiment: str) -> dict[str, Any]:
        """Return the stage of an experiment, as a gateway has it."""
        for gateway in self.gateways:
            if gateway.program.process.poll() is None:
                reply = gateway.call("GET", f"/api/experiments/{experiment}")
                assert reply.status == 200, reply.body
                stage: dict[str, Any] = reply.json()["experiment"]["stage"]
                return stage
        raise AssertionError("no replica runs")

    @property
    def changes(self) -> list[float]:
        """When a replica has learned of a stage, or that the daemon watches, in seconds since 1970."""
        named = ("configuration_applied", "experiments_daemon_seen")
        log = [each for program in self._programs for each in program.log() if each["event"] in named]
        return [datetime.fromisoformat(each["timestamp"]).timestamp() for each in log]

    def wait_until(self, experiment: str, *statuses: str, within_seconds: float = 90.0) -> dict[str, Any]:
        """Wait until an experiment has one of these statuses, and return its stage."""
        eventually(
            lambda: self.stage(experiment)["status"] in statuses,
            within_seconds=within_seconds,
            what=f"{experiment} {' or '.join(statuses)}",
        )
        return self.stage(experiment)

    def end(self) -> None:
        """End every program."""
        for program in self._programs:
            program.end()

    def _start(self, number: int) -> Gateway:
        arguments = ("--port", str(self._ports[number]), "--simulate", "--simulate-speed", "1000")
        program = self._program(
            "instance-agent", "serve", *arguments, "--simulate-seed", str(number),
            DATABASE_URL=self.server.url, INSTANCE_ID=f"gateway-{number}", INSTANCE_AGENT_LOG_FORMAT="json",
            INSTANCE_AGENT_STATE_DIR=str(self._folder / f"state-{number}"),
        )  # fmt: skip
        gateway = Gateway(program, self.key)
        gateway.ready()
        return gateway

    def _simulation(self, number: int) -> str:
        log = self.gateways[number].program.log()
        started = [each for each in log if each["event"] == "simulated_providers_started"]
        return str(started[-1]["url"]).removeprefix("http://")

    def _program(self, program: str, *arguments: str, **env: str) -> Program:
        log = self._folder / f"{len(self._programs)}.log"
        self._programs.append(Program(program, *arguments, log=log, env=env))
        return self._programs[-1]


def _post(address: str, path: str, change: dict[str, Any]) -> None:
    connection = HTTPConnection(address, timeout=10)
    connection.request("POST", f"/simulation/{path}", json.dumps(change), {"content-type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


@contextmanager
def an_experiment_fleet(folder: Path) -> Iterator[ExperimentFleet]:
    """Start a database, a worker and three gateways with simulated models."""
    with embedded_folder() as data:
        server = OwnServer(str(data))
        try:
            assert run_command("centralcloud", "migrate", env={"DATABASE_URL": server.url}).returncode == 0
            fleet = ExperimentFleet(folder, server)
            try:
                yield fleet
            finally:
                fleet.end()
        finally:
            server.stop()


class SessionClients:
    """Clients whose requests come in sessions of 1 to 6, over all replicas; a context. A check finds wrong answers.

    A request that meets a replica which is gone is sent to the next one, as a load balancer does.

    Attributes:
        arms: by session, the arms that its answers named, in their order: (seconds since 1970, arm).
        models: answers by (arm, model).
        errors: answers that were not 200, and connections that failed at every replica.
    """

    def __init__(self, fleet: ExperimentFleet, task_types: Sequence[str], *, clients: int = 12) -> None:
        self._urls = fleet.urls
        self._headers = {"authorization": f"Bearer {fleet.key}"}
        self._task_types = itertools.cycle(task_types)
        self._clients = clients
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="clients")
        self._failure: BaseException | None = None
        self._numbers = itertools.count()
        self.arms: dict[str, list[tuple[float, str]]] = {}
        self.models: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[str] = Counter()

    def __enter__(self) -> "SessionClients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=30)
            async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as http:
                await asyncio.gather(*(self._client(http) for _ in range(self._clients)))
        except BaseException as error:  # raised at the end of the block
            self._failure = error

    async def _client(self, http: aiohttp.ClientSession) -> None:
        while not self._stop.is_set():
            number, task_type = next(self._numbers), next(self._task_types)
            session = f"{task_type}-{number}"
            for turn in range(1 + number % 6):
                await self._request(http, session, task_type, turn)

    async def _request(self, http: aiohttp.ClientSession, session: str, task_type: str, turn: int) -> None:
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": "a plan as JSON"}],
            "response_format": {"type": "json_object"},
            "metadata": {"complexity": "complex", "task_type": task_type},
        }
        problem = ""
        for attempt in range(3):
            url = self._urls[(hash(session) + turn + attempt) % 3]
            try:
                headers = {"x-centralcloud-session": session}
                async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
                    text = await answer.text()
                    if answer.status == 503 and '"stopping"' in text:
                        continue
                    if answer.status != 200:
                        self.errors[f"{answer.status}: {text[:200]}"] += 1
                        return
                    arm = answer.headers.get("x-centralcloud-arm", "none")
                    self.arms.setdefault(session, []).append((time.time(), arm))
                    self.models[arm, answer.headers["x-centralcloud-model"]] += 1
                    return
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
        self.errors[problem] += 1
