"""`centralcloud evaluate` on a real database."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import REQUEST_ID, an_event, outcomes
from support.ingest import ingest
from support.operators import OPERATOR
from support.servers import execute
from typer.testing import CliRunner, Result

from centralcloud.administration.experiments import change, start
from centralcloud.cli.app import app
from centralcloud.contracts.experiment_changes import stopped
from centralcloud.contracts.model_choice.score_table import ScoreTable
from centralcloud.evaluation.exploration import WEEK
from centralcloud.evaluation.reading import read_at, read_configured, read_decisions, read_published, read_strata
from centralcloud.evaluation.report import Switch, compare_around, read_exploration, value_tables
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Action, record_action


@pytest.fixture(autouse=True)
def _environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TZ", "Europe/Berlin")


def evaluate(*options: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", *options])


def read_json(*options: str) -> dict[str, Any]:
    result = evaluate(*options, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def a_time() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - WEEK, now + timedelta(minutes=1)


def some_traffic(database: Database, database_url: str) -> None:
    """Two models that are drawn equally often; one fails in 4 of 10 cases, the other in 1 of 10."""
    events = [
        event
        for _ in range(40)
        for event in (
            *outcomes(18, 2, selected_model="good", propensity=0.5, complexity_score=2.0),
            *outcomes(12, 8, selected_model="poor", propensity=0.5, complexity_score=3.0),
        )
    ]
    ingest(database, database_url, events)


def publish(
    database_url: str, model: str, score: float, version: int, age: str = "0 minutes", old: float = 2.0
) -> None:
    """Publish a score as a rule does, so long ago."""
    execute(
        database_url,
        "INSERT INTO model_score_history (version, model_name, complexity_level, old_score, new_score, reason, rule, "
        "run_id, based_on_samples, after_slice, through_slice, created_at) "
        "VALUES (%s, %s, 'complex', %s, %s, 'x', 'threshold', 1, 100, 0, 1, now() - %s::interval)",
        (version, model, old, score, age),
    )
    execute(
        database_url,
        "INSERT INTO model_scores (model_name, complexity_level, score, version, reason, rule, based_on_samples, "
        "evaluated_through_slice, evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable) "
        "VALUES (%s, 'complex', %s, %s, 'x', 'threshold', 100, 1, 0, '{}', '{}', '{}', true) "
        "ON CONFLICT (model_name, complexity_level) DO UPDATE SET score = excluded.score, version = excluded.version",
        (model, score, version),
    )


def test_the_published_scores_are_valued_against_those_without_learning(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    publish(database_url, "good", 4.5, 1, old=2.0)
    publish(database_url, "poor", 3.0, 2, old=3.0)
    found = read_json()["off_policy"]
    assert found["decisions"] == 1600
    published, configured = found["tables"]
    assert published["whole"]["success"] == pytest.approx(0.9, abs=0.02)
    assert configured["whole"]["success"] == pytest.approx(0.6, abs=0.02)
    assert published["whole"]["effective"] == pytest.approx(800)
    assert published["complexities"][0]["logged"] == pytest.approx(0.75)
    whole = found["differences"][-1]
    assert whole["complexity"] is None
    assert 0.1 < whole["low"] < whole["success"] < whole["high"]
    assert whole["success"] == pytest.approx(0.3, abs=0.03)
    shown = " ".join(evaluate().stdout.split())
    assert "points more success than the configured scores, without learning (estimate; at least" in shown
    # The scores of rules are valued where the rules are compared.
    execute(database_url, "SELECT setval('model_score_version', 2)")
    assert CliRunner().invoke(app, ["learn"]).exit_code == 0
    compared = json.loads(CliRunner().invoke(app, ["scores", "--compare", "--json"]).stdout)["by_log"]
    assert {table["name"] for table in compared["tables"]} >= {"the published scores", "the scores of threshold"}
    assert "Success by the log of the last 7 days" in CliRunner().invoke(app, ["scores", "--compare"]).stdout


def test_experiments_come_first_those_that_have_ended_included(database: Database) -> None:
    asked = {"name": "Try b", "treatments": [{"model": "b"}]}
    begun = start(database, asked, OPERATOR, field="experiment", any_model=True).experiment
    change(database, begun.id, stopped, OPERATOR)
    (row,) = read_json()["experiments"]
    assert (row["id"], row["status"], row["result"]) == (begun.id, "stopped", "nothing is folded yet")
    assert evaluate().stdout.index(begun.id) < evaluate().stdout.index("SCORES BY THE LOG")


def test_only_drawn_first_attempts_count(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    drawn = {"selected_model": "good", "propensity": 0.5}
    more = [
        *outcomes(3, 0, selected_model="good"),
        *outcomes(4, 0, **drawn, prefer="cost"),
        *outcomes(5, 0, **drawn, user_model_request="good"),
        *outcomes(6, 0, **drawn, capabilities_required=["vision"]),
        *outcomes(0, 7, **drawn, error_kind="caller"),
        *outcomes(8, 0, selected_model="poor", request_id=REQUEST_ID, attempt=2),
        *outcomes(9, 0, **drawn, reward=0.5),
    ]
    ingest(database, database_url, more)
    with database.transaction() as connection:
        known = read_decisions(connection, *a_time())
    assert len(known) == 1609
    assert known.left_out == {"not_drawn": 3, "preference": 4, "requested": 5, "capabilities": 6}
    assert known.x[-9:].tolist() == [0.5] * 9
    notes = read_json()["off_policy"]["notes"]
    assert "6 outcomes left out, that needed capabilities which not every model was chosen for" in notes


def test_capabilities_count_where_every_model_was_drawn_for_them(database: Database, database_url: str) -> None:
    events = [
        event
        for name in ("a", "b")
        for event in outcomes(5, 5, selected_model=name, propensity=0.5, capabilities_required=["tools"])
    ]
    ingest(database, database_url, events)
    with database.transaction() as connection:
        assert len(read_decisions(connection, *a_time())) == 20


def test_a_cap_that_cuts_the_time_is_stated(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    with database.transaction() as connection:
        table = read_published(connection)
        cut = value_tables(connection, [table], *a_time(), most=1000)
        whole = value_tables(connection, [table], *a_time())
    assert cut.decisions == 1000
    assert cut.notes[0].startswith("the newest 1,000 outcomes were read, from ")
    assert not any("newest" in note for note in whole.notes)


def test_scores_of_a_version_a_time_and_a_rule_can_be_compared(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    publish(database_url, "good", 1.0, 5, age="3 days", old=2.0)
    publish(database_url, "good", 4.5, 9)

    def scores(table: ScoreTable) -> dict[str, tuple[float, bool]]:
        return {each.model: (each.score, each.learned) for each in table.scores}

    with database.transaction() as connection:
        assert scores(read_published(connection)) == {"good": (4.5, True), "poor": (3.0, False)}
        assert scores(read_configured(connection)) == {"good": (2.0, False), "poor": (3.0, False)}
        earlier = read_at(connection, datetime.now(UTC) - timedelta(days=1))
        assert scores(earlier) == {"good": (1.0, True), "poor": (3.0, False)}
        assert "the history of scores begins with version 5" in read_configured(connection).notes[0]
    for option, name in (("5", "version 5"), ("1d", "version 5"), ("4d", "version 0")):
        assert name in read_json("--against", option)["off_policy"]["tables"][1]["name"]
    for option in ("77", "soon", "9" * 30, ""):
        refused = evaluate("--against", option)
        assert refused.exit_code != 0
        assert "--against" in str(refused.exception or refused.output)
    execute(database_url, "INSERT INTO retired_models (model_name) VALUES ('poor')")
    with database.transaction() as connection:
        assert set(scores(read_published(connection))) == set(scores(read_configured(connection))) == {"good"}


def test_times_before_and_after_a_switch_are_compared_at_the_same_mix(database: Database, database_url: str) -> None:
    hard, easy = {"complexity": "complex"}, {"complexity": "simple"}
    # Before the switch the tasks were hard, after it they are easy: the success of each kind has not changed.
    ingest(
        database, database_url, [*outcomes(60, 60, **hard), *outcomes(36, 4, **easy), *outcomes(10, 0, task_type="x")]
    )
    execute(database_url, "UPDATE routing_records SET created_at = created_at - interval '40 minutes'")
    ingest(database, database_url, [*outcomes(20, 20, **hard), *outcomes(108, 12, **easy)])
    found = read_json("--switch", "30m")["before_after"]
    assert found["outcomes"] == [170, 160]
    assert found["rates"] == pytest.approx([106 / 170, 0.8])
    assert found["adjusted"] == pytest.approx([0.7, 0.7])
    assert found["difference"] == pytest.approx(0.0)
    assert found["low"] < 0 < found["high"]
    assert found["shared"] == pytest.approx(320 / 330)
    shown = evaluate("--switch", "30m").stdout
    assert "with the same mix of complexities and task types: 70.0% before, 70.0% after" in shown
    assert "this is not an experiment" in shown
    with database.transaction() as connection:
        at = datetime.now(UTC) - timedelta(minutes=30)
        capped = compare_around(connection, Switch(at, "x"), datetime.now(UTC), most=150)
        before = read_strata(connection, at - timedelta(hours=1), at, newest=True, most=10)
        after = read_strata(connection, at, at + timedelta(hours=1), newest=False, most=10)
    assert capped.outcomes == (150, 150)
    assert "there are more outcomes before the switch: the 150 nearest to it count" in capped.notes
    assert [(each.task_type, each.outcomes) for each in before] == [("x", 10)], "the ones nearest to the switch"
    assert [(each.complexity, each.outcomes, each.total) for each in after] == [("complex", 10, 10.0)]


def test_the_last_change_of_the_rule_is_the_switch(database: Database) -> None:
    with database.transaction() as connection:
        for before, after in (("a", "b"), ("b", "c")):
            changed = {"before": {"value": before}, "after": {"value": after}}
            record_action(connection, OPERATOR, Action.CHANGE_SETTING, "rule", **changed)
    found = read_json()["before_after"]
    assert found["switch"] == "the rule changed from b to c"
    assert found["unknown"] == "0 outcomes before the switch, expected 100"
    assert "No adjusted difference: 0 outcomes before the switch" in evaluate().stdout


def test_without_a_switch_the_command_says_what_it_needs(database: Database) -> None:
    assert read_json()["before_after"] is None
    assert "--switch takes a time or a version of the scores" in evaluate().stdout
    for option in ("7", "soon", "2099-01-01"):
        refused = evaluate("--switch", option)
        assert refused.exit_code != 0
        assert "--switch" in str(refused.exception or refused.output)


def test_probes_cost_what_the_leader_would_have_had(database: Database, database_url: str) -> None:
    publish(database_url, "lead", 4.5, 1, age="8 days")
    publish(database_url, "tried", 2.0, 2, age="8 days")
    events = []
    for number in range(140):
        probe = number >= 100
        model, outcome = ("tried", "success") if probe else ("lead", "success")
        if (not probe and number < 10) or (probe and number < 120):
            outcome = "failure"
        own = {"decision_id": f"d-{number}", "selected_model": model}
        events.append(an_event(**own, **({"probe": True} if probe else {})))
        events.append(an_event(outcome=outcome, cost_usd=0.03 if probe else 0.01, **own))
    # A failure that is not the model's does not count, neither does a later attempt.
    for number, more in enumerate(({"error_kind": "caller"}, {"request_id": REQUEST_ID, "attempt": 2})):
        own = {"decision_id": f"x-{number}", "selected_model": "tried", **more}
        events += [an_event(**own, probe=True), an_event(outcome="failure", **own)]
    ingest(database, database_url, events)
    publish(database_url, "tried", 4.9, 3, age="0 seconds")
    with database.transaction() as connection:
        since, until = a_time()
        found = read_exploration(connection, since, until)
        capped = read_exploration(connection, since, until, most=100)
    (week,) = found.weeks
    assert (week.complexity, week.decisions, week.probes, week.compared) == (None, 140, 40, 40)
    # The leader has 90% success and costs 0.01; the 40 probes had 20 successes and cost 0.03 each.
    assert week.lost == pytest.approx(40 * 0.9 - 20)
    assert week.low is not None
    assert week.high is not None
    assert 0 < week.low < week.lost < week.high
    assert week.extra_usd == pytest.approx(40 * 0.02)
    (change,) = found.changes
    assert (change.before, change.after, change.outcomes, change.probes) == ("lead", "tried", 40, 40)
    assert change.gained is None, "there are no outcomes since"
    assert capped.notes[0].startswith("the newest 100 records were read")
    shown = " ".join(evaluate().stdout.split())
    assert "tried leads instead of lead; 40 of its 40 outcomes of the 7 days before were probes" in shown
    assert "No budget of exploration" in shown


def test_an_empty_database_has_no_answer_and_no_error(database: Database) -> None:
    found = read_json()
    assert [table["whole"]["refused"] for table in found["off_policy"]["tables"]] == [
        "no decision of this time says something about the choice"
    ] * 2
    assert found["exploration"]["weeks"] == []
    assert "no decision with an id has an outcome in this time" in evaluate().stdout


def test_a_time_that_ends_before_it_begins_is_refused() -> None:
    refused = evaluate("--since", "1d", "--until", "2d")
    assert refused.exit_code != 0
    assert "expected a time before it" in str(refused.exception)


@pytest.mark.parametrize("option", ["--since", "--until", "--against", "--switch"])
def test_an_empty_option_is_refused(option: str) -> None:
    assert f"{option} is empty: expected a" in str(evaluate(option, "").exception)
