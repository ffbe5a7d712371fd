"""Print the routing events of docs/tutorial/first-ten-minutes.md: 200 decisions, each followed by its outcome.

`gpt-4o` succeeds in 70 of 100 complex tasks; `claude-sonnet` in 97, and faster. `--from N` starts the numbers at N.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

_MODELS = (
    # model, provider, score in examples/catalog.yaml, successes in 100, response time in ms
    ("gpt-4o", "openai", 4.8, 70, 2400),
    ("claude-sonnet", "anthropic", 4.7, 97, 900),
)


def events(first: int) -> Iterator[dict[str, object]]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    for number in range(first, first + 100):
        for model, provider, score, successes, response_time_ms in _MODELS:
            decision: dict[str, object] = {
                "complexity": "complex",
                "selected_model": model,
                "selected_provider": provider,
                "complexity_score": score,
                "decision_id": f"tutorial-{model}-{number}",
            }
            succeeded = number * 37 % 100 < successes  # 37 and 100 share no factor: successes are spread evenly
            outcome = "success" if succeeded else "failure"
            for kind, time_ms in (("routed", None), (outcome, response_time_ms)):
                routing_decision = decision | {"outcome": kind, "response_time_ms": time_ms}
                yield {"timestamp": now, "instance_id": "tutorial-1", "routing_decision": routing_decision}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="N")
    sys.stdout.writelines(json.dumps(event) + "\n" for event in events(parser.parse_args().first))
