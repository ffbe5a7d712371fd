"""`instance-agent serve --simulate`: models to try without a key, and the loop closed through the gateway."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from support.gateways import Gateway
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

Start = Callable[..., Program]
JSON = {"response_format": {"type": "json_object"}, "metadata": {"complexity": "complex"}}
LEADER = "ember-reason"
_OUTCOMES_OF_THE_LEADER = "SELECT n_eff FROM model_scores WHERE model_name = %s AND complexity_level = 'complex'"
#: Outcomes that tell the level of the leader (0.98) from that of the second (0.92). A fall from a level that few outcomes
#: show may look like one from below the second: the rule then re-checks the leader with 0.07% of the requests, not with 2%.
_KNOWN_LEVEL_OUTCOMES = 300


class Simulation:
    """A gateway with simulated models, and their control."""

    def __init__(self, start: Start, folder: Path, url: str, name: str = "gateway-1", **env: str) -> None:
        variables = {
            "DATABASE_URL": url,
            "INSTANCE_ID": name,
            "INSTANCE_AGENT_STATE_DIR": str(folder / name),
            "INSTANCE_AGENT_LOG_FORMAT": "json",
            **env,
        }
        arguments = ("--port", "0", "--simulate", "--simulate-speed", "1000", "--simulate-seed", "3")
        self.gateway = Gateway(start("instance-agent", "serve", *arguments, **variables), None)
        self.gateway.ready()
        started = next(each for each in self.gateway.program.log() if each["event"] == "simulated_providers_started")
        self._address = started["url"].removeprefix("http://")

    def change(self, path: str, **change: Any) -> None:
        connection = HTTPConnection(self._address, timeout=10)
        connection.request("POST", f"/simulation/{path}", json.dumps(change), {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()

    def choices(self, requests: int) -> Counter[str]:
        """Send complex tasks whose wrong answers the gateway finds by itself; return the models that were chosen."""
        found: Counter[str] = Counter()
        connection = HTTPConnection("127.0.0.1", self.gateway.port, timeout=30)
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "a plan as JSON"}], **JSON})
        for _ in range(requests):
            connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            found[answer.headers.get("x-centralcloud-model", "none")] += 1
        connection.close()
        return found


def test_simulated_models_alone_are_served_whatever_keys_there_are(
    start: Start, tmp_path: Path, database_url: str
) -> None:
    simulation = Simulation(start, tmp_path, database_url, OPENAI_API_KEY="sk-real", INSTANCE_AGENT_CATALOG="/no/file")
    gateway = simulation.gateway
    simulation.change("models/atlas-large", success_rate=1.0)
    reply = gateway.chat("atlas-large", "Add 17 + 25.")
    assert reply.text.startswith("17 + 25 = 42.")
    assert float(reply.headers["x-centralcloud-cost-usd"]) > 0
    assert gateway.chat("openai/gpt-4o").status == 404
    assert gateway.chat("gpt-4o").headers["x-centralcloud-model"] in ("borealis-pro", LEADER, "fjord-legacy")
    assert "catalog_not_used" in gateway.program.events()


def test_a_wrong_answer_that_a_check_finds_is_a_failure_of_the_model(
    start: Start, tmp_path: Path, database_url: str
) -> None:
    simulation = Simulation(start, tmp_path, database_url)
    simulation.change("models/dune-code", success_rate=0.0)
    assert simulation.gateway.chat("dune-code", "a city", response_format={"type": "json_object"}).status == 200
    sent = "SELECT message #>> '{routing_decision,outcome}', message #>> '{routing_decision,error_kind}' FROM pgmq.q_"
    eventually(lambda: ("failure", "provider") in execute(database_url, f"{sent}model_routing_decisions"))


def test_the_fleet_finds_the_best_model_leaves_it_while_it_is_degraded_and_forgives_it(
    start: Start, tmp_path: Path, database_url: str
) -> None:
    learner = {
        "CENTRALCLOUD_RULE": "adaptive",
        "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.5",
        "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "1",
        "CENTRALCLOUD_HTTP_PORT": "0",
    }
    start("centralcloud", "run", DATABASE_URL=database_url, **learner).wait_for("started")
    replicas = [Simulation(start, tmp_path, database_url, f"gateway-{number}") for number in (1, 2)]
    with ThreadPoolExecutor(4) as pool:

        def share() -> float:
            counted = sum(pool.map(lambda each: each.choices(40), replicas), Counter())
            return counted[LEADER] / counted.total()

        def level_is_known() -> bool:
            rows = execute(database_url, _OUTCOMES_OF_THE_LEADER, (LEADER,))
            return bool(rows) and rows[0][0] >= _KNOWN_LEVEL_OUTCOMES

        _until(lambda: share() > 0.6 and level_is_known(), "the best model to lead")
        for replica in replicas:
            replica.change(f"models/{LEADER}", complexity="complex", success_rate=0.2)
        _until(lambda: share() < 0.15, "the degraded model to be left")
        for replica in replicas:
            replica.change("reset")
        _until(lambda: share() > 0.6, "the recovered model to be forgiven")


def _until(condition: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    """Wait for a condition that makes load itself, so that no pause is needed.

    Evidence comes with requests, and where many tests share two cores these are few in a second.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
