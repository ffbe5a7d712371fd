"""The Python of the specification of the intelligent router, as it is printed there, imports apart."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from support.repository import REPOSITORY

#: The texts between the imports and the results are those of the specification, letter by letter.
PROGRAM = '''
import asyncio, json

import logging
logging.basicConfig(level=logging.DEBUG)

from instance_agent import IntelligentModelRouter, RouterAnalytics, TaskType, UnifiedModelClient, create_routed_coder_agent

SNIPPETS = """
# Create a routed agent
agent = create_routed_coder_agent()

# Generate response (automatically routes to best model)
response = await agent.generate_response(
    "Write a Python function to sort a list",
    context={"complexity": 3}
)
---
# Create router and client
router = IntelligentModelRouter()
client = UnifiedModelClient(router)

# Generate with automatic routing
result = await client.generate(
    "Analyze the pros and cons of microservices",
    TaskType.REASONING,
    complexity=7
)
---
# Force specific model for testing
result = await client.generate(
    "Write hello world",
    TaskType.CODE_GENERATION,
    complexity=2,
    context={"force_model": "local_mlx"}
)
---
analytics = RouterAnalytics()

# Get performance metrics
performance = analytics.get_model_performance_report()
print(f"Models tracked: {len(performance)}")

# Get cost analysis
costs = analytics.get_cost_analysis()
print(f"Total cost: ${costs['total_cost']:.6f}")

# Get optimization recommendations
recommendations = analytics.get_optimization_recommendations()
"""

async def main():
    results = []
    for snippet in SNIPPETS.split("---"):
        code = compile(snippet, "specification", "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, globals())
        if running is not None:
            await running
        results.append(globals().get("result") or response)
    remaining = analytics.get_daily_budget_remaining()
    print(json.dumps([*results[:3], performance, costs, recommendations, remaining]))

from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
asyncio.run(main())
'''


def test_the_snippets_run_as_they_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANCE_AGENT_DAILY_BUDGET_USD", "1")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    tracked, total, rest = done.stdout.splitlines()
    coder, reasoned, forced, performance, costs, recommendations, remaining = json.loads(rest)

    assert (coder["success"], coder["provider"]) == (True, "lm_studio")
    assert coder["content"] == "You said: Write a Python function to sort a list"
    assert (reasoned["success"], reasoned["model"]) == (True, "claude-opus-5-5")
    # 17 tokens at 4 USD a million, 3 of them cached at 0.2, and 9 at 20.
    assert reasoned["cost_nano_usd"] == 14 * 4_000 + 3 * 200 + 9 * 20_000
    assert (reasoned["tokens"], reasoned["cost"]) == (26, 0.0002366)
    assert 0 < reasoned["time"] < 30
    assert (forced["success"], forced["provider"], forced["forced"]) == (True, "lm_studio", True)
    assert (tracked, total) == (f"Models tracked: {len(performance)}", "Total cost: $0.000237")
    called = Counter([coder["model"], reasoned["model"], forced["model"]])
    assert {name: each["requests"] for name, each in performance.items()} == called
    assert costs["total_cost_nano_usd"] == 236_600
    assert (recommendations, remaining) == ([], 0.9997634)

    # The debug mode shows the decision with its reasons, and neither prompts nor keys.
    assert "request_planned" in done.stderr
    assert "a reasoning model, for complexities from 7 on" in done.stderr
    assert "microservices" not in done.stderr
    assert "sk-secret" not in done.stderr
