"""Processor time of plans and of the classifier, for benchmarks/gateway.py."""

import itertools
import random
import sys
import time
from typing import Any, Final

from planning import microseconds, snapshot

from centralcloud.contracts.task_classifier import classify
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.task import hints_from_headers

_REQUESTS: Final = 20_000
#: One request in so many comes with another state of health.
_CHANGE_EVERY: Final = 500
_TEXT_BYTES: Final = 20_000
_WORDS: Final = "Compare the two proposals below and say which one has the lower risk for a small team. "


def plan_times(models: int = 20) -> dict[str, Any]:
    """Return the times of a plan with a set that was seen and with a new one, and the share of new ones in a mixed load.

    In the load, requests need a capability or not and have prompts of many lengths, and every 500th comes with another model
    unhealthy. A plan that takes more than a third of the time of a new set is a miss.
    """
    known = snapshot(models)
    headers = hints_from_headers({"x-centralcloud-complexity": "7", "x-centralcloud-task-type": "analysis"})
    request = RoutingRequest(headers=headers, needs=("vision",), input_tokens=3_000)
    planner = Planner(rng=random.Random(1))
    seen = microseconds(lambda: planner.plan(request, known))
    pairs = itertools.combinations([model.name for model in known.models], 2)
    views = (HealthView(unhealthy=dict.fromkeys(pair, "slow")) for pair in pairs)
    new = microseconds(lambda: planner.plan(request, known, next(views)), 25, 5)
    text = (_WORDS * (_TEXT_BYTES // len(_WORDS) + 1))[:_TEXT_BYTES]
    return {
        "models": models,
        "plan_us": seen,
        "new_set_us": new,
        "misses": _share_of_misses(models, new / 3e6),
        "classifier_us": microseconds(lambda: classify(text), 200),
    }


def _share_of_misses(models: int, slow_seconds: float) -> float:
    rng = random.Random(2)
    known = snapshot(models)
    planner = Planner(rng=random.Random(1))
    levels = [hints_from_headers({"x-centralcloud-complexity": str(level)}) for level in range(1, 11)]
    view = HealthView()
    times = []
    for number in range(_REQUESTS):
        if number % _CHANGE_EVERY == 0:
            view = HealthView(unhealthy={f"model-{rng.randrange(models)}": "slow"})
        needs = rng.choice(((), (), ("vision",), ("function_calling", "vision")))
        request = RoutingRequest(headers=rng.choice(levels), needs=needs, input_tokens=int(rng.lognormvariate(7, 1.2)))
        began = time.thread_time()
        planner.plan(request, known, view)
        times.append(time.thread_time() - began)
    return round(sum(each > slow_seconds for each in times) / len(times), 4)


if __name__ == "__main__":
    print(plan_times(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
