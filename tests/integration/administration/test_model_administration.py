"""The commands `models` and `instances`: lists, one-line refusals, and instances that are forgotten."""

import json

import pytest
from support.commands import run_command
from support.events import an_event, outcomes
from support.history import pretend_all_came
from support.ingest import ingest
from support.models import THRESHOLD
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.instances import forget_instance, list_instances
from centralcloud.learning.learner import Learner
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.findings import Finding, replace_findings
from centralcloud.store.slices import close_slice


def command(url: str, *arguments: str, code: int = 0) -> str:
    result = run_command("centralcloud", *arguments, env={"DATABASE_URL": url})
    assert result.returncode == code, result.stderr
    assert code == 0 or (result.stdout, result.stderr.count("\n")) == ("", 1)
    return result.stdout if code == 0 else result.stderr


def test_the_models_commands_print_their_results(database: Database, database_url: str) -> None:
    assert command(database_url, "models", "list") == "no model was ever chosen\n"
    ingest(database, database_url, outcomes(98, 2, selected_model="old", complexity_score=4.0))
    Learner(database, THRESHOLD).learn()
    renamed = json.loads(command(database_url, "models", "rename", "old", "new", "--json"))
    assert (renamed["records"], renamed["complexities"], renamed["merged"]) == (100, ["complex"], [])
    assert renamed["changes"][0]["new_score"] == 4.3
    (model,) = json.loads(command(database_url, "models", "list", "--json"))
    assert model.pop("last_seen_at")
    assert model == {
        "model": "new",
        "complexities": ["complex"],
        "outcomes": 100,
        "success_rate": 0.98,
        "scores": {"complex": 4.3},
        "retired": False,
    }
    assert "complex=4.300" in command(database_url, "models", "list")
    assert "new is retired\n" in command(database_url, "models", "retire", "new")
    assert "new is no longer retired\n" in command(database_url, "models", "retire", "new", "--undo")
    assert "newer is new from now on" not in command(database_url, "models", "rename", "new", "newer")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["rename", "phantom", "x"], 1, "found no model phantom, expected one that `centralcloud models list` shows"),
        (["rename", "x", "x"], 2, "NEW: found 'x', expected another name than OLD"),
        (["rename", "x", ""], 2, "NEW: found 0 characters, expected 1 to 512"),
        (["rename", "x", "y" * 513], 2, "NEW: found 513 characters"),
        (["rename", "\udcff", "y"], 2, "OLD: found a byte that is not UTF-8"),
        (["retire", "phantom"], 1, "found no model phantom"),
        (["retire", "phantom", "--undo"], 1, "found no retired model phantom"),
    ],
)
def test_a_wrong_name_is_one_line(database_url: str, arguments: list[str], code: int, complaint: str) -> None:
    assert complaint in command(database_url, "models", *arguments, code=code)


def test_instances_are_listed_with_the_versions_that_they_are_behind(database: Database, database_url: str) -> None:
    assert "no instance" in command(database_url, "instances", "list")
    events = [
        *(an_event("i-1", outcome="success") for _ in range(60)),
        *(an_event("i-1", outcome="failure") for _ in range(60)),
    ]
    ingest(database, database_url, events)
    Learner(database, THRESHOLD).learn()
    ingest(
        database,
        database_url,
        [an_event("i-1", outcome="success"), an_event("i-1", outcome="failure", error_kind="caller")],
    )
    ((version,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', %s), centralcloud.acknowledge('i-2', 0)", (version,))
    with database.transaction() as connection:
        replace_findings(connection, ["quarantined_instance"], [Finding("quarantined_instance", "i-2", "differs", {})])
    listed = json.loads(command(database_url, "instances", "list", "--json"))
    assert [
        (
            row["instance_id"],
            row["applied_version"],
            row["versions_behind"],
            row["outcomes_last_24_hours"],
            row["quarantined"],
        )
        for row in listed
    ] == [("i-1", version, 0, 121, False), ("i-2", 0, version, 0, True)]
    assert all(row["first_seen_at"] and row["last_seen_at"] for row in listed)
    assert "i-2" in command(database_url, "instances", "list")


def test_outcomes_of_more_than_a_day_ago_are_not_counted_as_the_newest(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, 10)
    ingest(database, database_url, outcomes(1, 2))
    execute(database_url, "SELECT centralcloud.acknowledge('singularity-1', 0)")
    with database.transaction() as connection:
        assert [row["outcomes_last_24_hours"] for row in list_instances(connection)] == [3]


def test_a_forgotten_instance_is_listed_again_when_it_acknowledges(database: Database, database_url: str) -> None:
    for model in ("a", "b"):
        ingest(database, database_url, outcomes(60, 60, selected_model=model))
        Learner(database, THRESHOLD).learn()
    ((newest,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', %s)", (newest - 1,))
    assert command(database_url, "instances", "forget", "i-1") == "forgot i-1\n"
    with database.transaction() as connection:
        assert list_instances(connection) == []
    complaint = command(database_url, "instances", "forget", "i-1", code=1)
    assert complaint == "centralcloud: found no instance i-1, expected one that `instances list` shows\n"
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', %s)", (newest,))
    with database.transaction() as connection:
        assert [row["applied_version"] for row in list_instances(connection)] == [newest]
        forget_instance(connection, "i-1", OPERATOR)
