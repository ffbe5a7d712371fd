"""Print the routing events of the first experience in README.md: 200 decisions, each followed by its outcome.

Models, providers and scores are those of examples/catalog.yaml. `gpt-4o` succeeds in 70 of 100 complex tasks;
`claude-sonnet` in 97, and faster. Each run prints the same events, with times up to now; `--at TIME` sets another end, and
`--from N` starts the numbers of the decisions at N. Needs Python only, no package.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_DECISIONS = 100
_MODELS = (
    # model, provider, score in examples/catalog.yaml, successes in 100, response time in ms
    ("gpt-4o", "openai", 4.8, 70, 2400),
    ("claude-sonnet", "anthropic", 4.7, 97, 900),
)


def events(first: int, end: datetime) -> Iterator[dict[str, object]]:
    """Yield the events of 100 decisions for each model, one decision a second; the last outcome is before `end`."""
    for number in range(first, first + _DECISIONS):
        decided_at = end - timedelta(seconds=_DECISIONS + 3 - (number - first))
        for model, provider, score, successes, response_time_ms in _MODELS:
            decision: dict[str, object] = {
                "complexity": "complex",
                "selected_model": model,
                "selected_provider": provider,
                "complexity_score": score,
                "decision_id": f"first-{model}-{number}",
            }
            succeeded = number * 37 % 100 < successes  # 37 and 100 share no factor: successes are spread evenly
            outcome = "success" if succeeded else "failure"
            for kind, time_ms in (("routed", None), (outcome, response_time_ms)):
                at = decided_at + timedelta(milliseconds=time_ms or 0)
                yield {
                    "timestamp": at.isoformat(timespec="milliseconds"),
                    "instance_id": "router-1",
                    "routing_decision": decision | {"outcome": kind, "response_time_ms": time_ms},
                }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="N", help="number of the first decision")
    parser.add_argument(
        "--at", type=datetime.fromisoformat, default=None, metavar="TIME", help="end, ISO 8601 with a zone"
    )
    arguments = parser.parse_args()
    printed = events(arguments.first, arguments.at or datetime.now(UTC))
    try:
        sys.stdout.writelines(json.dumps(event) + "\n" for event in printed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, for example `head`, has read enough; Python must not report it at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
