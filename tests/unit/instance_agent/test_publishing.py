"""Publishing by a router of one's own: light to import, and wrong arguments are one clear error at the call."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from centralcloud.contracts import ContractError, SettingsError
from instance_agent.publishing import Publisher

#: Nothing listens there: what these tests publish waits in memory.
NOWHERE = "postgresql://user@127.0.0.1:1/none"
DECISION: dict[str, Any] = {"complexity": "simple", "model": "m", "provider": "p"}


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher(database_url=NOWHERE, instance_id="router-1")
    yield publisher
    publisher.close(0.0)


def test_the_imports_of_a_router_load_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from instance_agent.publishing import publish_decision, publish_outcome\n"
        "import instance_agent\n"
        "heavy = {'psycopg', 'psycopg_pool', 'pydantic', 'pydantic_settings', 'structlog', 'aiohttp', 'prometheus_client',"
        " 'yaml', 'rich', 'typer', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "for name in instance_agent.__all__: assert getattr(instance_agent, name).__name__ == name\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"complexity": "urgent"}, 'complexity: found "urgent", expected one of simple, medium, complex'),
        ({"model": ""}, 'model: found "", expected a string of 1 to 512 characters'),
        (
            {"model": "gpt\x1b[2J"},
            "expected a string of 1 to 512 characters without control, bidirectional or invisible",
        ),
        ({"provider": 5.5}, "provider: found 5.5, expected a string of 1 to 512 characters"),
        ({"decision_id": "d\u202e"}, "expected a string of 1 to 200 characters without control, bidirectional or inv"),
        ({"complexity_score": 5.1}, "complexity_score: found 5.1, expected a number from 0.0 to 5.0"),
        ({"capabilities_required": [1]}, "capabilities_required[0]: found 1, expected a string"),
        ({"propensity": 1.5}, "propensity: found 1.5, expected a number from 0 to 1"),
        ({"prefer": 1.5}, "prefer: found 1.5, expected a string"),
        ({"decision_id": "d" * 201}, "expected a string of 1 to 200 characters"),
        ({"decision_id": ""}, 'decision_id: found "", expected a string of 1 to 200 characters'),
        ({"score_version": "v7"}, 'score_version: found "v7", expected an integer from'),
        ({"task_type": "nul\0"}, 'task_type: found "nul\\x00", expected text without a zero byte'),
        ({"task_type": "\ud800"}, "message: found a lone surrogate in a string, expected Unicode text"),
        ({"task_type": "x" * 262_144}, "bytes, expected at most 262144 bytes"),
    ],
)
def test_an_invalid_decision_is_one_error_that_names_the_argument(
    publisher: Publisher, changed: dict[str, Any], error: str
) -> None:
    with pytest.raises(ContractError) as raised:
        publisher.publish_decision(**DECISION | changed)
    assert error in str(raised.value)
    assert "\n" not in str(raised.value)
    assert publisher._deferred is None, "nothing was started for it"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"success": "yes"}, 'success: found "yes", expected true or false'),
        ({"success": True, "response_time_ms": -1}, "response_time_ms: found -1, expected null or a number from 0 to"),
        ({"success": True, "response_time_ms": float("nan")}, "response_time_ms: found nan, expected null or a number"),
        ({"success": True, "input_tokens": 1.5}, "input_tokens: found 1.5, expected an integer from 0 to 2147483647"),
        ({"success": True, "cost_usd": 2e9}, "cost_usd: found 2000000000.0, expected a number from 0 to 1000000000"),
        ({"success": True, "model_version": "m" * 201}, "expected a string of 1 to 200 characters"),
        ({"success": False, "error_kind": "bug"}, 'found "bug", expected one of caller, policy, provider, timeout'),
    ],
)
def test_an_invalid_outcome_is_one_error_that_names_the_argument(
    publisher: Publisher, fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(ContractError) as raised:
        publisher.publish_outcome("d", **fields)
    assert error in str(raised.value)


def test_an_outcome_of_an_unknown_decision_says_what_to_add(publisher: Publisher) -> None:
    with pytest.raises(ContractError, match="or complexity, model and provider of the decision"):
        publisher.publish_outcome("unknown", success=True)


def test_a_decision_has_one_outcome(publisher: Publisher) -> None:
    decision_id = publisher.publish_decision(**DECISION)
    publisher.publish_outcome(decision_id, success=True)
    with pytest.raises(ContractError, match="decision_id"):
        publisher.publish_outcome(decision_id, success=True)
    assert publisher.publish_decision(**DECISION, decision_id=12) == "12"
    publisher.publish_outcome(12, success=True)  # the id in another form
    assert not publisher.close(0.0), "four events were lost"


def test_without_a_database_the_first_call_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.endswith(("DATABASE_URL", "DATABASE_URL_FILE")):
            monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match="DATABASE_URL is not set: set it to your PostgreSQL"):
        Publisher().publish_decision(**DECISION)


def test_a_wrong_setting_is_found_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANCE_AGENT_PUBLISH_QUEUE_SIZE", "lots")
    publisher = Publisher(database_url=NOWHERE)
    with pytest.raises(SettingsError, match="INSTANCE_AGENT_PUBLISH_QUEUE_SIZE is 'lots'"):
        publisher.start()
    with pytest.raises(SettingsError, match="INSTANCE_AGENT_PUBLISH_QUEUE_SIZE is 'lots'"):
        publisher.publish_decision(**DECISION)
    assert not publisher.close()


def test_publishing_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EX_LLM_PGMQ_ENABLED", "false")
    publisher = Publisher(database_url=NOWHERE)
    publisher.start()
    publisher.publish_outcome(publisher.publish_decision(**DECISION), success=True)
    assert publisher.close()
