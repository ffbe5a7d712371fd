"""A provider that answers with another model id has the model learned anew, once; ids that alternate do not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.commands import run_command
from support.events import an_event
from support.ingest import ingest
from support.models import published
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.model_changes import mark_changed, undo_change
from centralcloud.administration.models import UnknownModelError, rename_model
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.verification import verify
from centralcloud.learning.learner import Learner
from centralcloud.learning.model_changes import read_new_versions
from centralcloud.learning.rules import AdaptiveRule
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import References

OLD, NEW = "m-2026-05", "m-2026-11"
CHANGES = "SELECT model_name, instance_id, version_before, version_after FROM model_changes ORDER BY change_id"
FINDINGS = "SELECT message FROM findings WHERE kind = %s AND closed_at IS NULL"


def answers(*versions: str | None, instance_id: str = "i-1", model: str = "m", **decision: Any) -> list[Any]:
    """Return outcomes of now, each with the id of the model that its answer names."""
    now = datetime.now(UTC).isoformat()
    named = [{} if version is None else {"model_version": version} for version in versions]
    decision = {"selected_model": model, "outcome": "success", **decision}
    events = [an_event(instance_id, **decision, **each) for each in named]
    return [{**event, "timestamp": now} for event in events]


@pytest.fixture
def learner(database: Database) -> Learner:
    return Learner(database, [AdaptiveRule()])


def test_twenty_outcomes_of_an_instance_with_another_id_have_the_model_learned_anew(
    database: Database, database_url: str, learner: Learner
) -> None:
    ingest(database, database_url, answers(*[OLD] * 80) + answers(*[OLD] * 20, outcome="failure"))
    learner.learn()
    ingest(database, database_url, answers(*[NEW] * 19))
    learner.learn()
    assert execute(database_url, CHANGES) == []
    ingest(database, database_url, answers(NEW, NEW))
    learner.learn()
    learner.learn()

    assert execute(database_url, CHANGES) == [("m", "i-1", OLD, NEW)]
    ((kind, reason, samples),) = execute(
        database_url, "SELECT kind, reason, based_on_samples FROM model_score_history ORDER BY version DESC LIMIT 1"
    )
    assert (kind, samples) == ("changed", 21), "the window begins with the first of them"
    assert f"answers name {NEW} since then, not {OLD}: its mean before, 0.79" in reason
    FindingDetector(database).run_once()
    ((message,),) = execute(database_url, FINDINGS, ("model_changed",))
    assert f'answers of github_models for m name "{NEW}" in place of "{OLD}" (20 outcomes of i-1 in a row' in message
    assert message.endswith("`centralcloud models changed m --undo` takes that back")
    assert audit_scores(database, [AdaptiveRule()]).differences == []
    assert verify(database).differences == []


def test_a_pair_whose_version_changes_before_its_first_publication_is_published(
    database: Database, database_url: str, learner: Learner
) -> None:
    ingest(database, database_url, answers(*[OLD] * 60, *[NEW] * 60))
    learner.learn()
    assert execute(database_url, CHANGES) == [("m", None, OLD, NEW)]
    ((kind, mean),) = execute(database_url, "SELECT kind, mean FROM model_score_history")
    assert kind == "changed"
    assert mean > 0.7, "from the outcomes of the version before"


def test_two_providers_that_answer_with_ids_of_their_own_are_a_finding_and_never_a_change(
    database: Database, database_url: str, learner: Learner
) -> None:
    for _ in range(3):
        for provider, version in (("one", "m-a"), ("two", "m-b")):
            ingest(database, database_url, answers(*[version] * 60, selected_provider=provider))
            learner.learn()
    assert execute(database_url, CHANGES) == []
    FindingDetector(database).run_once()
    ((message,),) = execute(database_url, FINDINGS, ("alternating_versions",))
    assert '"m-a" (one, 1 instance), "m-b" (two, 1 instance); ids that alternate count as one version' in message


def test_the_fleet_follows_a_new_id_region_by_region_and_learns_anew_once(
    database: Database, database_url: str, learner: Learner
) -> None:
    regions = ["i-1", "i-2", "i-3"]
    for done in range(len(regions) + 1):
        events = [
            event
            for number, region in enumerate(regions)
            for event in answers(*[NEW if number < done else OLD] * 25, None, instance_id=region)
        ]
        ingest(database, database_url, events)
        learner.learn()
    assert execute(database_url, CHANGES) == [("m", "i-1", OLD, NEW)]


def test_late_outcomes_and_decisions_say_nothing_about_the_version_of_now(
    database: Database, database_url: str, learner: Learner
) -> None:
    late = [{**event, "timestamp": an_event()["timestamp"]} for event in answers(*[OLD] * 30)]
    asked = answers(*["m"] * 30, outcome="routed")
    ingest(database, database_url, answers(*[NEW] * 25) + late + asked)
    learner.learn()
    assert execute(database_url, "SELECT DISTINCT version, newest FROM model_versions") == [(NEW, NEW), (None, NEW)]


def test_invalid_ids_are_ignored_and_counted(database: Database, database_url: str) -> None:
    ingest(database, database_url, answers("x" * 201, "m\u200b", OLD))  # type: ignore[arg-type]
    assert execute(database_url, "SELECT count(*), count(model_version) FROM routing_records") == [(3, 1)]
    ignored = "SELECT field, messages FROM ignored_values"
    assert execute(database_url, ignored) == [("routing_decision.model_version", 2)]


def test_the_command_says_that_the_rule_threshold_does_not_use_a_change(database: Database, database_url: str) -> None:
    ingest(database, database_url, answers(OLD))
    for rule, used in (("threshold", False), ("adaptive", True)):
        environment = {"DATABASE_URL": database_url}
        assert run_command("centralcloud", "settings", "set", "rule", rule, env=environment).returncode == 0
        printed = run_command("centralcloud", "models", "changed", "m", env=environment).stdout
        assert "m is learned anew for complex tasks" in printed
        assert ("uses none of this" not in printed) == used


def test_an_operator_says_that_a_model_changed_and_undoes_it(
    database: Database, database_url: str, learner: Learner
) -> None:
    ingest(database, database_url, answers(*[None] * 90) + answers(*[None] * 10, outcome="failure"))
    learner.learn()
    before = published(database_url)
    assert mark_changed(database, "m", [], References(), OPERATOR) == ["complex"]
    learner.learn()
    state = "SELECT evidence_from > 0, state_payload -> 'prior' -> 1 FROM rule_scores"
    assert execute(database_url, state) == [(True, 1.0)]
    undo_change(database, "m", OPERATOR)
    learner.learn()
    assert published(database_url) == before
    with pytest.raises(UnknownModelError, match="found no change of m within 30 days"):
        undo_change(database, "m", OPERATOR)
    with pytest.raises(
        UnknownModelError, match="found no m for simple tasks, expected one of its complexities: complex"
    ):
        mark_changed(database, "m", ["simple"], References(), OPERATOR)
    actions = "SELECT action FROM operator_actions ORDER BY id"
    assert execute(database_url, actions) == [("mark_model_changed",), ("undo_model_change",)]


def test_a_renamed_model_keeps_its_versions(database: Database, database_url: str, learner: Learner) -> None:
    ingest(database, database_url, answers(*[OLD] * 60))
    learner.learn()
    rename_model(database, "m", "n", OPERATOR)
    ingest(database, database_url, answers(*[NEW] * 20, model="n"))
    learner.learn()
    assert execute(database_url, CHANGES) == [("n", "i-1", OLD, NEW)]


REASONS = "SELECT reason FROM rule_scores WHERE model_name = 'm'"
SUSPECTED = f"a rise is suspected, because answers name {NEW} since"


@pytest.fixture
def trailer(database: Database, database_url: str, learner: Learner) -> str:
    """Learn a model that trails another one far behind; return its name."""
    for _ in range(2):
        ingest(database, database_url, answers(*[OLD] * 40, outcome="failure") + answers(*["x"] * 60, model="n"))
        learner.learn()
    return "m"


def test_the_first_answer_with_another_id_has_a_trailer_probed_and_an_id_that_comes_back_does_not(
    database: Database, database_url: str, learner: Learner, trailer: str
) -> None:
    assert SUSPECTED not in execute(database_url, REASONS)[0][0]
    ingest(database, database_url, answers(NEW, model=trailer))
    learner.learn()
    assert execute(database_url, CHANGES) == []
    assert SUSPECTED in execute(database_url, REASONS)[0][0]
    assert execute(database_url, "SELECT probe_share > 0.02 FROM rule_scores WHERE model_name = 'm'") == [(True,)]
    for version in (OLD, NEW):
        ingest(database, database_url, answers(version, version, outcome="failure"))
        learner.learn()
        assert "suspected" not in execute(database_url, REASONS)[0][0]
    assert audit_scores(database, [AdaptiveRule()]).differences == []


@pytest.mark.parametrize("known", [(OLD, NEW, OLD, "m-3"), (NEW, OLD, NEW)])
def test_ids_that_alternate_have_no_trailer_probed(
    database: Database, database_url: str, learner: Learner, trailer: str, known: tuple[str, ...]
) -> None:
    ingest(database, database_url, answers(*known, model=trailer))
    learner.learn()
    assert SUSPECTED not in execute(database_url, REASONS)[0][0]
    assert execute(database_url, "SELECT count(*) FROM rule_scores WHERE state_payload ? 'named'") == [(0,)]
    assert execute(database_url, "SELECT max(switches) FROM model_versions") == [(3,)]
    FindingDetector(database).run_once()
    assert len(execute(database_url, FINDINGS, ("alternating_versions",))) == 1


def test_an_id_that_counts_or_has_counted_before_is_not_new(
    database: Database, database_url: str, learner: Learner, trailer: str
) -> None:
    pair = (trailer, "complex")
    ingest(database, database_url, answers(OLD, model=trailer, instance_id="i-2") + answers(*[NEW] * 10, model=trailer))
    learner.learn()
    with database.transaction() as connection:
        ((new,),) = read_new_versions(connection, [pair, ("n", "complex")]).values()
    assert (new.version, new.instances) == (NEW, {"i-1"})
    for version in (NEW, OLD):
        for count in (15, 35):
            ingest(database, database_url, answers(*[version] * count, model=trailer))
            learner.learn()
            with database.transaction() as connection:
                assert read_new_versions(connection, [pair]) == {}, (version, count)
    assert execute(database_url, CHANGES) == [("m", "i-1", OLD, NEW)]


def test_the_id_with_which_another_instance_begins_is_not_new_once_it_counts_there(
    database: Database, database_url: str, learner: Learner, trailer: str
) -> None:
    for count, pairs in ((19, 1), (1, 0)):
        ingest(database, database_url, answers(*[NEW] * count, model=trailer, instance_id="i-2"))
        learner.learn()
        with database.transaction() as connection:
            assert len(read_new_versions(connection, [(trailer, "complex")])) == pairs
    assert execute(database_url, CHANGES) == []
