"""A trained classifier from its training to the records of requests: the command, a running gateway, and the database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.classifiers import labelled_rows, write_prompts
from support.commands import run_command
from support.gateways import Gateway, a_key, start_gateway
from support.programs import Program
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually

#: A word that no prompt of the training has: if it is in the database, it came with a request.
_MARK = "quetzalcoatl"
_QUESTION = f"the courier lost my parcel, tracking says warehouse {_MARK}"


@pytest.fixture
def router(start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str) -> Gateway:
    key = a_key(database_url, "operator")
    return start_gateway(start, tmp_path, fake_upstream, database_url, key=key)


def classifier(url: str, *arguments: str) -> str:
    result = run_command("centralcloud", "classifier", *arguments, env={"DATABASE_URL": url})
    assert result.returncode == 0, result.stderr
    return result.stdout


def answered_by(gateway: Gateway) -> Any:
    """Return which classifier answers; asks for a decision alone, which leaves no record."""
    reply = gateway.call("POST", "/api/routing/test", {"prompt": _QUESTION})
    assert reply.status == 200, reply.body
    return reply.json()["task"]["classifier"]


def records(url: str, events: int) -> list[tuple[Any, ...]]:
    eventually(lambda: execute(url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(events,)])
    drained = run_command("centralcloud", "drain", env={"DATABASE_URL": url})
    assert drained.returncode == 0, drained.stderr
    return execute(
        url,
        "SELECT task_type, complexity, complexity_level_10, classifier, plan -> 'task' "
        "FROM routing_records JOIN request_plans USING (request_id) WHERE outcome = 'routed' ORDER BY id",
    )


def tables_with(url: str, text: str) -> list[str]:
    """Return the tables with a row in which the text stands."""
    tables = execute(
        url,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    )
    return [name for (name,) in tables if execute(url, f"SELECT 1 FROM {name} t WHERE t::text LIKE %s", (f"%{text}%",))]


def test_a_running_gateway_takes_over_what_was_trained_and_its_records_say_so_without_the_text(
    router: Gateway, tmp_path: Path, database_url: str
) -> None:
    assert answered_by(router) == "words-2"
    assert router.chat(text=_QUESTION).status == 200
    prompts = write_prompts(tmp_path / "prompts.jsonl", labelled_rows(150))
    classifier(database_url, "train", "--prompts", str(prompts))
    eventually(lambda: answered_by(router) == "trained-1")
    assert router.chat(text=_QUESTION).status == 200
    classifier(database_url, "off")
    eventually(lambda: answered_by(router) == "words-2")
    assert router.chat(text=_QUESTION).status == 200

    by_words, trained, by_words_again = records(database_url, 6)
    assert trained[:4] == ("shipping", "medium", 5, "trained-1")
    task = trained[4]
    assert (task["type"], task["level"], task["from"]) == ("shipping", "medium", ["classifier", "classifier"])
    assert 0.5 <= task["confidence"] <= 1
    assert by_words[3] == by_words_again[3] == "words-2"
    assert by_words[0] == by_words_again[0] != "shipping"
    shown = router.call("GET", "/metrics").body.decode()
    assert "centralcloud_gateway_classifier_version 0.0" in shown
    assert "centralcloud_gateway_classifier_invalid 0.0" in shown
    assert tables_with(database_url, "trained-1") != [], "or the search finds nothing"
    assert tables_with(database_url, _MARK) == []
