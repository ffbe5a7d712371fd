"""The simulated providers behind a real executor: every fault and every wrong answer arrives as those of real ones do."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from support.executions import Records, a_request, chosen_text, read_all, run

from centralcloud.contracts import CentralCloudError
from instance_agent.catalog.configuration import CatalogConfiguration, build_configuration
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.executor import Executor
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.targets import CallTargets
from instance_agent.execution.walk import WalkSettings
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.transport import Transport
from instance_agent.simulation.providers import SimulatedProviders

ONE_ATTEMPT = ExecutionSettings(walk=WalkSettings(max_attempts=1))
SUM = "Add 17 + 25."


@pytest.fixture
def simulated() -> Iterator[SimulatedProviders]:
    with SimulatedProviders(seed=5, speed=200) as providers:
        for each in providers.behaviour.world.providers:
            providers.behaviour.change_provider(each.name, error_rate=0.0, hang_rate=0.0)
        yield providers


def configuration(simulated: SimulatedProviders) -> CatalogConfiguration:
    return build_configuration(simulated.models(), simulated.providers())


class Caller:
    """An executor over the simulated providers."""

    def __init__(self, simulated: SimulatedProviders, transport: Transport) -> None:
        self.records = Records()
        self._configuration = configuration(simulated)
        self._targets = CallTargets(self._configuration)
        self._executor = Executor(ProviderCalls(transport), Breakers(), self.records, ONE_ATTEMPT)

    def _plan(self, model: str) -> list[PlannedCall]:
        (target,) = self._configuration.targets_of(model)
        return [PlannedCall(target=self._targets.ready(target))]

    async def plain(self, model: str, **fields: Any) -> str:
        return chosen_text((await self._executor.execute(self._plan(model), a_request(**fields))).body)

    async def streamed(self, model: str, **fields: Any) -> bytes:
        return await read_all(await self._executor.stream(self._plan(model), a_request(stream=True, **fields)))


@pytest.mark.parametrize("model", ["atlas-large", "fjord-legacy"])
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_both_protocols_are_answered_whole_and_as_streams(
    simulated: SimulatedProviders, model: str, protocol: str
) -> None:
    simulated.behaviour.change_model(model, success_rate=1.0)

    async def scenario() -> None:
        async with Transport() as transport:
            caller = Caller(simulated, transport)
            assert "17 + 25 = 42." in await caller.plain(model, protocol=protocol, text=SUM)
            stream = await caller.streamed(model, protocol=protocol, text=SUM)
            assert b"42" in stream
            for record in caller.records:
                assert record.outcome == "success"
                assert record.usage is not None
                assert record.usage.output_tokens
                assert not record.usage_estimated
                assert record.cost.nano_usd
            assert caller.records[1].first_token_ms is not None

    run(scenario())


def test_json_is_answered_where_the_gateway_asks_for_it_in_the_system_prompt(simulated: SimulatedProviders) -> None:
    """fjord-cloud speaks the dialect anthropic, which has no field for JSON without a schema."""

    async def scenario() -> None:
        async with Transport() as transport:
            caller = Caller(simulated, transport)
            for rate in (1.0, 0.0):
                simulated.behaviour.change_model("fjord-legacy", success_rate=rate)
                await caller.plain("fjord-legacy", text="a city", response_format={"type": "json_object"})
            assert [(each.outcome, each.defect) for each in caller.records] == [
                ("success", None),
                ("failure", "not_json"),
            ]

    run(scenario())


def test_wrong_answers_become_failures_of_the_model_where_a_check_can_see_them(simulated: SimulatedProviders) -> None:
    simulated.behaviour.change_model("dune-code", success_rate=0.0)
    form = {"type": "json_object"}

    async def scenario() -> None:
        async with Transport() as transport:
            caller = Caller(simulated, transport)
            await caller.plain("dune-code", text="a city", response_format=form)
            await caller.streamed("dune-code", text="a city", response_format=form)
            await caller.plain("dune-code", text="tell me a story")
            await caller.streamed("dune-code", text="tell me a story")
            assert [(each.outcome, each.error_kind, each.defect) for each in caller.records] == [
                ("failure", "provider", "not_json"),
                ("failure", "provider", "not_json"),
                ("failure", "provider", "empty_answer"),
                ("failure", "provider", "empty_answer"),
            ]
            assert "17 + 25 = 43." in await caller.plain("dune-code", text=SUM)
            assert caller.records[-1].outcome == "success"  # only its caller can know better

    run(scenario())


def test_errors_rate_limits_and_time_outs_are_those_of_providers(simulated: SimulatedProviders) -> None:
    async def scenario() -> None:
        async with Transport() as transport:
            caller = Caller(simulated, transport)
            change = simulated.behaviour.change_provider
            change("atlas-cloud", error_rate=1.0)
            change("fjord-cloud", hang_rate=1.0)
            for model in ("atlas-large", "fjord-legacy"):
                with pytest.raises(Exception, match=r"simulated|no answer"):
                    await caller.plain(model)
            change("cirrus-cloud", requests_per_second=0.5)
            await caller.plain("cirrus-mini", text=SUM)
            with pytest.raises(Exception, match="too many requests"):
                await caller.plain("cirrus-mini", text=SUM)
            kinds = [(each.error_kind, each.http_status) for each in caller.records]
            assert kinds == [("provider", 503), ("timeout", None), (None, 200), ("provider", 429)]

    run(scenario())


class Control:
    """A client of the control."""

    def __init__(self, simulated: SimulatedProviders) -> None:
        self._address = simulated.url.removeprefix("http://")

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection(self._address, timeout=10)
        sent = {"content-type": "application/json", **headers}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def test_the_control_degrades_a_model_shows_the_truth_and_resets_it(simulated: SimulatedProviders) -> None:
    control = Control(simulated)
    change = {"complexity": "complex", "success_rate": 0.3}
    status, state = control.send("POST", "/simulation/models/ember-reason", change)
    assert status == 200
    assert state["models"]["ember-reason"]["success_rates"] == [0.92, 0.93, 0.3]
    assert control.send("POST", "/simulation/providers/atlas-cloud", {"error_rate": 0.5})[0] == 200
    assert control.send("GET", "/simulation")[1]["providers"]["atlas-cloud"]["error_rate"] == 0.5
    control.send("POST", "/simulation/reset", {})
    assert simulated.behaviour.success_rate("ember-reason", "complex") == 0.982


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("models/ember-reason", {"success_rate": 1.5}, {}, 400, "success_rate"),
        ("models/ember-reason", {"rate": 0.5}, {}, 400, "rate"),
        ("models/unknown", {"success_rate": 0.5}, {}, 404, "'unknown'"),
        ("models/ember-reason", {"success_rate": 0.5}, {"content-type": "text/plain"}, 415, "application/json"),
        ("models/ember-reason", {"success_rate": 0.5}, {"host": "attacker.example"}, 403, "Host"),
    ],
)
def test_the_control_refuses_invalid_changes_and_web_pages(
    simulated: SimulatedProviders, path: str, body: Any, headers: dict[str, str], status: int, words: str
) -> None:
    found, answer = Control(simulated).send("POST", f"/simulation/{path}", body, **headers)
    assert found == status
    assert words in answer["error"]
    assert simulated.behaviour.success_rate("ember-reason", "simple") == 0.92


def test_a_model_of_another_provider_is_not_served(simulated: SimulatedProviders) -> None:
    body = {"model": "atlas-large", "messages": [{"role": "user", "content": "hello"}]}
    status, answer = Control(simulated).send("POST", "/dune-cloud/v1/chat/completions", body)
    assert status == 404
    assert answer["error"]["code"] == "model_not_found"


def test_a_port_that_is_taken_is_one_clear_error(simulated: SimulatedProviders) -> None:
    taken = int(simulated.url.rpartition(":")[2])
    with pytest.raises(
        CentralCloudError,
        match=f"cannot listen on http://127.0.0.1:{taken}: Address already in use; expected a free port",
    ):
        SimulatedProviders(port=taken).start()
