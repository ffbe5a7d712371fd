"""A coder agent whose every task goes to the model that fits it: local ones for simple tasks, paid ones for complex ones.

python examples/routed_coder.py

Uses LM Studio (localhost:1234) and Ollama (localhost:11434) where they run, and Claude, OpenAI and Gemini where their keys
are set: ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY. INSTANCE_AGENT_CATALOG may name a catalog of your own.
"""

import asyncio

from instance_agent import RouterAnalytics, TaskType, UnifiedModelClient, create_routed_coder_agent

TASKS = (
    ("Write a Python function to sort a list", 3),
    ("Refactor this loop into a comprehension: for x in xs: ys.append(f(x))", 5),
    ("Design a lock-free queue for several producers, and prove that it is correct", 9),
)


async def main() -> None:
    """Do the tasks, ask for a comparison, and print what all of it took."""
    async with UnifiedModelClient() as client:
        for name, status in (await client.check_health()).items():
            print(f"{name}: {'available' if status['available'] else status['reason']}")  # noqa: T201
        agent = create_routed_coder_agent(client)
        for task, complexity in TASKS:
            response = await agent.generate_response(task, context={"complexity": complexity})
            if response["success"]:
                print(f"\n{task}\n  {response['model']}: {response['reasoning']}")  # noqa: T201
                print(f"  {response['tokens']} tokens, ${response['cost']:.6f}, {response['time']:.2f} s")  # noqa: T201
            else:
                print(f"\n{task}\n  no answer: {response['error']}")  # noqa: T201
        result = await client.generate("Compare threads with coroutines", TaskType.REASONING, complexity=7)
        print(f"\ncomparison: {result['model'] if result['success'] else result['error']}")  # noqa: T201
    analytics = RouterAnalytics.of_process()
    for name, performance in analytics.get_model_performance_report().items():
        print(f"{name}: {performance['requests']} calls, success rate {performance['success_rate']}")  # noqa: T201
    print(f"Total cost: ${analytics.get_cost_analysis()['total_cost']:.6f}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
