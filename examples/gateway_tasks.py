"""Send complex tasks to the gateway with the package openai, and count which models answer.

python examples/gateway_tasks.py [--tasks 600]

OPENAI_BASE_URL is the gateway, http://127.0.0.1:3003/v1 by default; GATEWAY_KEY its key, when it has keys.
"""

import argparse
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from openai import APIStatusError, OpenAI

IN_PARALLEL = 8
STEP = 100


def do_task(client: OpenAI, number: int) -> tuple[str, bool]:
    """Ask for JSON; return the model that answered, and whether the answer is JSON. The gateway finds a wrong one, too."""
    try:
        answer = client.chat.completions.with_raw_response.create(
            model="auto",
            messages=[{"role": "user", "content": f"Plan step {number} of the project, as JSON."}],
            response_format={"type": "json_object"},
            metadata={"complexity": "complex"},
        )
    except APIStatusError as error:
        return f"status {error.status_code}", False
    try:
        json.loads(answer.parse().choices[0].message.content or "")
    except ValueError:
        return answer.headers["x-centralcloud-model"], False
    return answer.headers["x-centralcloud-model"], True


def main() -> None:
    """Send the tasks, and print a line for each hundred."""
    parser = argparse.ArgumentParser(description="Send tasks to the gateway, and count which models answer.")
    parser.add_argument("--tasks", type=int, default=600)
    arguments = parser.parse_args()
    url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:3003/v1")
    key = os.environ.get("GATEWAY_KEY", "none")
    with OpenAI(base_url=url, api_key=key, max_retries=0) as client, ThreadPoolExecutor(IN_PARALLEL) as pool:
        for first in range(1, arguments.tasks + 1, STEP):
            last = min(first + STEP - 1, arguments.tasks)
            done = list(pool.map(lambda number: do_task(client, number), range(first, last + 1)))
            models = Counter(model for model, _ in done)
            right = sum(is_right for _, is_right in done)
            shares = ", ".join(f"{model} {count}" for model, count in models.most_common())
            print(f"tasks {first} to {last}: {right} right; {shares}", flush=True)  # noqa: T201
    print("most of the last tasks went to", models.most_common(1)[0][0])  # noqa: T201


if __name__ == "__main__":
    main()
