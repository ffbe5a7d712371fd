"""The gateway of a demonstration: it serves the simulated models, to an application of its own and to clients such as curl.

It is one instance of the fleet. Its events, scores and simulated models are those of `instance-agent serve --simulate`.
"""

import contextlib
import json
import logging
import random
import socket
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from centralcloud.contracts import CentralCloudError
from centralcloud.demo import simulated_models
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings
from instance_agent.gateway import request_log
from instance_agent.gateway_program import GatewayProgram
from instance_agent.settings import DEFAULT_GATEWAY_PORT, GatewaySettings
from instance_agent.simulation.providers import SimulatedProviders

#: A model that takes 2 seconds answers in 0.1.
_SPEED: Final = 20.0
_START_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.05
_PATH: Final = "/v1/chat/completions"


class DemoGateway:
    """The gateway and its application: a thread that asks for JSON, so that the gateway itself finds wrong answers."""

    def __init__(
        self, conninfo: str, folder: Path, simulated: SimulatedModels, *, exploration: float, seed: int
    ) -> None:
        """Create it; `folder` holds its state."""
        self._providers = SimulatedProviders(seed=seed, speed=_SPEED)
        self._shutdown = Shutdown()
        self._settings = load_settings(
            GatewaySettings,
            INSTANCE_AGENT_DATABASE_URL=conninfo,
            INSTANCE_ID="demo-gateway",
            EX_LLM_PGMQ_ENABLED=True,
            INSTANCE_AGENT_GATEWAY_PORT=_port(),
            gateway_address="127.0.0.1",
            gateway_drain_seconds=1.0,
            gateway_discovery_seconds=0.0,
            state_dir=folder,
            exploration=exploration,
            ignore_learned=False,
            http_port=0,
            poll_interval_seconds=2,
        )
        self.tasks = 0
        self.successes = 0
        self.cost_usd = 0.0
        self.choices = dict.fromkeys(simulated_models.PAIRS, 0)
        self._rng = random.Random(seed)
        self._program: GatewayProgram | None = None
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-gateway", daemon=True)
        self._application = threading.Thread(target=self._work, name="demo-application", daemon=True)
        simulated.on_change = lambda model, complexity, rate: self._providers.behaviour.change_model(
            model, complexity=complexity, success_rate=rate
        )

    @property
    def address(self) -> str:
        """Host and port."""
        server = self._program.server if self._program else None
        return f"127.0.0.1:{server.port if server else self._settings.gateway_port}"

    @property
    def curl(self) -> str:
        """A command that works while the demonstration runs."""
        message = '{"model":"auto","messages":[{"role":"user","content":"Add 17 + 25."}]}'
        return f"curl {self.address}{_PATH} -H content-type:application/json -d '{message}'"

    def start(self) -> None:
        """Start the gateway, wait until it listens, and start its application.

        Raises:
            CentralCloudError: it does not listen in time, or ended with this error.
        """
        # Wrong answers are part of the show: a warning for each would be written over it.
        logging.getLogger(request_log.__name__).setLevel(logging.ERROR)
        self._providers.start()
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while self._program is None or self._program.server is None:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise CentralCloudError(f"the gateway of the demonstration did not start: {self._error or 'no answer'}")
            time.sleep(_PAUSE_SECONDS)
        self._application.start()

    def stop_tasks(self) -> None:
        """Stop the application; the gateway still sends events."""
        self._stopping.set()
        if self._application.is_alive():
            self._application.join(_STOP_SECONDS)

    def stop(self) -> None:
        """Stop everything."""
        self.stop_tasks()
        self._shutdown.request()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        self._providers.stop()

    @property
    def waiting(self) -> int:
        """Events that were not sent yet."""
        publisher = self._program.publisher if self._program else None
        return publisher.waiting if publisher else 0

    def _run(self) -> None:
        try:
            self._program = GatewayProgram(self._settings, self._shutdown, self._providers.entries())
            self._program.run()
        except Exception as error:  # noqa: BLE001 - `start` raises it, in the thread that waits
            self._error = error

    def _work(self) -> None:
        connection = HTTPConnection(self.address, timeout=_STOP_SECONDS)
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                self._do_task(connection, self._rng.choice(simulated_models.COMPLEXITIES))
            except (OSError, HTTPException):
                connection.close()  # the next task opens another one
        connection.close()

    def _do_task(self, connection: HTTPConnection, complexity: str) -> None:
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": "Fill in the form."}],
            "metadata": {"complexity": complexity},
            "response_format": {"type": "json_object"},
        }
        connection.request("POST", _PATH, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        model = answer.headers.get("x-centralcloud-model")
        self.tasks += 1
        if answer.status != 200 or model is None:
            return
        self.choices[model, complexity] += 1
        self.cost_usd += float(answer.headers.get("x-centralcloud-cost-usd", 0))
        with contextlib.suppress(ValueError, KeyError, TypeError):
            json.loads(json.loads(read)["choices"][0]["message"]["content"])
            self.successes += 1


def _port() -> int:
    """Return the gateway's usual port, 0 for a free one when it is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", DEFAULT_GATEWAY_PORT))
        except OSError:
            return 0
    return DEFAULT_GATEWAY_PORT
