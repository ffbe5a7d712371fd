"""Events of a client whose process has a database: each attempt is a decision with its outcome."""

import pytest
from support.maintenance import maintain
from support.servers import execute
from support.upstream.process import FakeUpstream

from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from instance_agent import RouterAnalytics, TaskType, UnifiedModelClient, create_routed_coder_agent
from instance_agent.client.usage_records import UsageRecords

RECORDS = """
    SELECT instance_id, model, provider, complexity, outcome, attempt, policy, agent_type, task_type, cost_nano_usd,
        request_id::text
    FROM routing_records WHERE outcome = 'routed' OR attempt = 2 ORDER BY attempt, outcome
"""


def test_attempts_become_records_from_which_the_fleet_learns(
    database: Database, database_url: str, fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_ID", "my-program")
    for model in ("fake-large", "fake-small"):
        fake_upstream.behave("status=503", model=model)
    records = UsageRecords()
    with UnifiedModelClient(records=records) as client, create_routed_coder_agent(client) as agent:
        response = agent.generate_response_sync("Write confidential code", {"complexity": 2})
        assert response["success"]
        assert client.flush(20)
    result = drain(database, batch_size=10).result
    assert (result.records, result.dead_letters) == (4, 0)
    rows = execute(database_url, RECORDS)
    common = ("local_first", "coder", "code_generation")
    same_id = response["request_id"]
    local = ("my-program", "fake-large", "lm_studio", "simple", "routed", 1, *common, None, same_id)
    assert rows[0] == local
    assert [row[1:6] for row in rows[1:]] == [
        ("gpt-6.1-sol", "openai", "simple", "routed", 2),
        ("gpt-6.1-sol", "openai", "simple", "success", 2),
    ]
    assert rows[2][9] == response["cost_nano_usd"]
    assert "confidential" not in str(execute(database_url, "SELECT * FROM routing_records"))

    # The reports of the fleet are those of its only process.
    maintain(database)
    own, fleet = RouterAnalytics(records), RouterAnalytics()
    costs, whole = own.get_cost_analysis(), fleet.get_cost_analysis()
    equal = ("total_cost_nano_usd", "by_model", "by_provider", "by_task_type", "total_tokens", "local_share")
    assert {name: costs[name] for name in equal} == {name: whole[name] for name in equal}
    assert costs["total_cost_nano_usd"] == response["cost_nano_usd"]
    assert costs["escalated_requests"] == whole["escalated_requests"] == 1
    performance, of_fleet = own.get_model_performance_report(), fleet.get_model_performance_report()
    assert {name: (each["requests"], each["success_rate"], each["tokens"]) for name, each in performance.items()} == {
        name: (each["requests"], each["success_rate"], each["tokens"]) for name, each in of_fleet.items()
    }

    with UnifiedModelClient() as client:
        for complexity in (3, 4, 6, 7, 10):
            assert client.generate_sync("Do it", TaskType.ANALYSIS, complexity)["success"]
        assert client.flush(20)
    drain(database, batch_size=100)
    levels = (
        "SELECT DISTINCT complexity_level_10, complexity FROM routing_records WHERE task_type = 'analysis' ORDER BY 1"
    )
    words = [(3, "simple"), (4, "medium"), (6, "medium"), (7, "complex"), (10, "complex")]
    assert [row for row in execute(database_url, levels) if row[0] is not None] == words
