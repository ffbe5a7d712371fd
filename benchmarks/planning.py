"""Processor time of a plan: prints JSON.

    python benchmarks/planning.py [models]

`plan_us` is a plan whose set of targets was seen since the scores last changed; `with_endpoints_us` one where each model
has two primary endpoints to draw from; `new_health_us` one after another health view that leads to a set that was seen;
`new_set_us` one with a set that was not seen by these scores (the integration that gives the probabilities), by the evidence
behind them; `new_scores_us` one with scores that were not seen; `classified_us` a plan with a text of 200 characters for the
classifier. The best of several runs, in microseconds.
"""

import itertools
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from centralcloud.contracts import COMPLEXITIES, Estimate
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.model import Endpoint, Model
from instance_agent.catalog.provider import Provider
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.task import hints_from_headers

_TEXT = (
    "Compare the two proposals below and say which one has the lower risk for a small team with a fixed budget. " * 2
)


def microseconds(work: Callable[[], Any], times: int = 2000, runs: int = 7) -> float:
    """Return the processor time of one call: the best of some runs."""
    best = float("inf")
    for _ in range(runs):
        started = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - started) / times)
    return round(1e6 * best, 2)


def snapshot(models: int, *, endpoints: int = 1, n_eff: float = 500.0, seed: int = 1) -> CatalogSnapshot:
    """Return a catalog with learned scores of the given evidence."""
    rng = random.Random(seed)
    entries = [
        Model(
            name=f"model-{number}",
            provider=f"p{number % 4}",
            capabilities=frozenset({"vision", "function_calling"}),
            context_window=(8_000, 32_000, 128_000, 1_000_000)[number % 4],
            endpoints=tuple(Endpoint(url=f"http://10.0.0.{each + 1}/v1", weight=each + 1) for each in range(endpoints)),
        )
        for number in range(models)
    ]
    scores = {}
    for model in entries:
        for complexity in COMPLEXITIES:
            mean = rng.uniform(0.7, 0.95)
            estimate = Estimate(mean=mean, n_eff=n_eff * rng.uniform(0.5, 2), probe_share=0.01)
            score = 5 * (mean - rng.uniform(0, 0.1))
            scores[model.name, complexity] = LearnedScore(
                score=score, version=7, at=datetime.now(UTC), estimate=estimate
            )
    providers = [Provider(provider=f"p{number}", base_url=f"http://10.0.1.{number + 1}/v1") for number in range(4)]
    learned = LearnedScores(epoch="e", version=7, scores=scores)
    return CatalogSnapshot(tuple(entries), learned, build_configuration(entries, providers))


def main() -> None:
    """Print the measurements."""
    models = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    known = snapshot(models)
    headers = {"x-centralcloud-complexity": "7", "x-centralcloud-task-type": "analysis"}
    request = RoutingRequest(headers=hints_from_headers(headers), needs=("vision",), input_tokens=3_000)
    planner = Planner(rng=random.Random(1))
    result: dict[str, Any] = {"models": models}
    result["plan_us"] = microseconds(lambda: planner.plan(request, known))
    planner.sessions.record("s", "model-3", 2_000)
    in_session = RoutingRequest(headers=request.headers, input_tokens=3_000, session="s")
    result["session_us"] = microseconds(lambda: planner.plan(in_session, known))
    forced = RoutingRequest(model="model-3", headers=request.headers)
    result["forced_us"] = microseconds(lambda: planner.plan(forced, known))
    classified = RoutingRequest(text=_TEXT)
    result["classified_us"] = microseconds(lambda: planner.plan(classified, known))
    result["hints_us"] = microseconds(lambda: hints_from_headers(headers))
    double = snapshot(models, endpoints=2)
    result["with_endpoints_us"] = microseconds(lambda: planner.plan(request, double))
    planner.plan(request, known)
    views = [HealthView(), HealthView(breaker_open=frozenset({"model-3@p3"}))]
    turn = iter(range(10**9))
    result["new_health_us"] = microseconds(lambda: planner.plan(request, known, views[next(turn) % 2]), 500)
    for evidence in (1.0, 5.0, 50.0, 500.0, 5_000.0, 100_000.0):
        state = snapshot(models, n_eff=evidence)
        planner.plan(request, state)
        pairs = itertools.combinations([model.name for model in state.models], 2)
        others = (HealthView(unhealthy=dict.fromkeys(pair, "slow")) for pair in pairs)
        result[f"new_set_us_n_eff_{evidence:.0f}"] = microseconds(
            lambda state=state, others=others: planner.plan(request, state, next(others)), 25, 5
        )
        states = iter([snapshot(models, n_eff=evidence, seed=seed) for seed in range(2, 42)])
        result[f"new_scores_us_n_eff_{evidence:.0f}"] = microseconds(
            lambda states=states: planner.plan(request, next(states)), 10, 4
        )
    result["explanation_us"] = microseconds(planner.plan(request, known).explanation, 300)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
