"""Processor time to load a large catalog and to choose from it: prints JSON.

    python benchmarks/routing.py [models]

`first` is the first choice after a change of the scores, as a request sees it; `next` are the choices after it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.routing.router import ModelRouter

_LEARNED = 100


def seconds(work: Callable[[], Any], times: int = 1) -> float:
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times


def learned(version: int) -> LearnedScores:
    scores = {
        (f"model-{number}", "complex"): LearnedScore(score=3 + number % 20 / 10, version=version, at=datetime.now(UTC))
        for number in range(_LEARNED)
    }
    return LearnedScores(epoch="e", version=version, scores=scores)


def main() -> None:
    models = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    lines = [
        f"  - {{name: model-{n}, provider: p{n % 7}, capabilities: [c{n % 5}, c{n % 3}], max_output_tokens: {4096 + n},"
        f" complexity_scores: {{simple: {n % 50 / 10}, medium: {n % 40 / 10}, complex: {n % 45 / 10}}}}}"
        for n in range(models)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.yaml"
        path.write_text("models:\n" + "\n".join(lines) + "\n")
        load_seconds = seconds(lambda: read_catalog_file(path))
        catalog = ModelCatalog(read_catalog_file(path), learned=learned(1))
    router = ModelRouter(catalog, instance_id="i")
    result: dict[str, float] = {"models": models, "load_seconds": load_seconds}
    choices: dict[str, dict[str, Any]] = {
        "plain": {},
        "capabilities": {"capabilities": ["c1"]},
        "prefer": {"prefer": "cost"},
        "model": {"model": "model-77"},
    }
    version = 1
    for name, wanted in choices.items():
        router.choose("complex", **wanted)
        version += 1
        change = learned(version)
        if hasattr(router, "prepare"):
            result[f"{name}_prepare_ms"] = 1000 * seconds(
                lambda change=change: router.prepare(catalog.next(learned=change))
            )
        catalog.use(change)
        result[f"{name}_first_ms"] = 1000 * seconds(lambda wanted=wanted: router.choose("complex", **wanted))
        result[f"{name}_next_us"] = 1e6 * seconds(lambda wanted=wanted: router.choose("complex", **wanted), 1000)
    numbers = iter(range(models))
    result["any_model_ms"] = 1000 * seconds(lambda: router.choose("complex", model=f"model-{next(numbers)}"), 20)
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
