"""Plans of the router, executed: what breakers see changes the next plan."""

import asyncio
import random

from support.executions import a_bench, a_request, run
from support.upstream.process import FakeUpstream

from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.model import Model
from instance_agent.catalog.provider import Provider
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.execution.target_health import TargetHealth
from instance_agent.execution.targets import CallTargets
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import RoutingRequest


def test_a_failing_model_is_left_by_plans_and_comes_back_by_one_probe(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        configuration = build_configuration(
            [
                Model(name=name, provider="fake", complexity_scores={"simple": score})
                for name, score in (("best", 5.0), ("second", 3.0))
            ],
            [Provider(provider="fake", dialect="openai", base_url=fake_upstream.openai_url)],
        )
        snapshot = CatalogSnapshot(configuration.models, LearnedScores(), configuration)
        targets, planner = CallTargets(configuration), Planner(rng=random.Random(1))
        now = asyncio.get_running_loop().time
        async with a_bench(fake_upstream, breaker=BreakerSettings(open_seconds=0.5, jitter=0.0)) as bench:
            health = TargetHealth(bench.breakers)

            async def ask() -> tuple[str, str]:
                plan = planner.plan(RoutingRequest(model="auto:simple"), snapshot, health.view(targets, now()))
                answer = await bench.executor.execute(plan_calls(plan, targets), a_request())
                return plan.first.target.key, answer.target

            fake_upstream.behave("status=500", times=5, model="best")
            for _ in range(5):
                assert await ask() == ("best@fake", "second@fake")
            for _ in range(10):
                assert await ask() == ("second@fake", "second@fake")
            assert bench.calls_of("best") == 5
            assert sum(record.propensity is not None for record in bench.records) == 15
            await asyncio.sleep(0.5)  # the breaker's opening
            assert await ask() == ("best@fake", "best@fake")

    run(scenario())
