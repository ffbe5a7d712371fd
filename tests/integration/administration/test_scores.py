"""Scores with their reasons, and overrides by an operator: pins, rollbacks, freezes, comparisons, audits."""

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from support.commands import run_command
from support.events import an_event, send
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.score_audit import UnverifiedScores, audit_scores
from centralcloud.administration.score_overrides import freeze, pin, roll_back, unfreeze, unpin
from centralcloud.administration.verification import repair
from centralcloud.ingest.drain import drain
from centralcloud.learning.current_scores import HOLD_OUTCOMES, UnknownPairError
from centralcloud.learning.learner import Learner, LearningRun
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule, ThresholdSettings
from centralcloud.monitoring.reports import compare_rules, explain_score, score_history
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import References

ADAPTIVE: list[Rule] = [AdaptiveRule(), ThresholdRule()]
THRESHOLD: list[Rule] = [ThresholdRule(), AdaptiveRule()]
Learn = Callable[..., LearningRun]


@pytest.fixture
def learn(database: Database, database_url: str) -> Learn:
    """Ingest outcomes of each model for complex tasks, successes first, and learn from them."""

    def ingest_and_learn(
        rules: list[Rule] = ADAPTIVE, *, force: bool = False, **models: tuple[int, int]
    ) -> LearningRun:
        send(
            database_url,
            [
                an_event(
                    f"i-{n % 3}", selected_model=model, outcome=outcome, response_time_ms=1000, complexity_score=2.0
                )
                for model, (successes, failures) in models.items()
                for n, outcome in enumerate(["success"] * successes + ["failure"] * failures)
            ],
        )
        drain(database, batch_size=1000)
        return Learner(database, rules).learn(force=force)

    return ingest_and_learn


def published(url: str) -> dict[str, float]:
    return {row[0]: float(row[1]) for row in execute(url, "SELECT model_name, score FROM model_scores")}


def newest_version(url: str) -> int:
    return int(execute(url, "SELECT max(version) FROM model_scores")[0][0])


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD])
def test_every_score_can_be_recomputed_and_a_forged_one_is_found(
    learn: Learn, database: Database, database_url: str, rules: list[Rule]
) -> None:
    for successes in (90, 120, 60, 150):
        learn(rules, good=(successes, 10), bad=(50, successes))
    audit = audit_scores(database, rules)
    assert (audit.differences, audit.unknown_rules) == ([], [])
    assert audit.checked == 6, "two published ones, and two of each rule"
    execute(
        database_url,
        "UPDATE rule_scores SET score = score + 0.001 WHERE rule = %s AND model_name = 'bad'",
        (rules[1].name,),
    )
    execute(database_url, "UPDATE model_scores SET score = score - 0.2 WHERE model_name = 'good'")
    execute(database_url, "UPDATE evidence SET successes = successes - 1 WHERE model_name = 'good' AND slice_no = 1")
    tables = {(each.table, each.key["model"]) for each in audit_scores(database, rules).differences}
    assert {("rule_scores", "bad"), ("model_scores", "good")} <= tables


def test_scores_from_before_a_change_of_their_rule_are_unverified_not_different(
    learn: Learn, database: Database, database_url: str
) -> None:
    """The constants of a run are not stored with it."""
    learn(THRESHOLD, good=(96, 4), bad=(90, 10))
    set_rate = """INSERT INTO fleet_settings (name, value, updated_at) VALUES ('threshold.success_rate', '0.99', %s)
        ON CONFLICT (name) DO UPDATE SET updated_at = excluded.updated_at"""
    stricter: list[Rule] = [ThresholdRule(ThresholdSettings(success_rate=Decimal("0.99"))), AdaptiveRule()]
    execute(database_url, set_rate, ("2020-01-01",))
    forged = audit_scores(database, stricter)
    assert {each.key["model"] for each in forged.differences} == {"good"}, "nothing has changed since: these are wrong"
    assert (forged.checked, forged.unverified) == (6, [])
    execute(database_url, set_rate, (datetime.now(UTC),))
    audit = audit_scores(database, stricter)
    assert audit.differences == []
    assert audit.unverified == [UnverifiedScores("threshold", ["threshold.success_rate"], 2)], (
        "published, and the rule's"
    )
    assert audit.checked == 4, "bad comes out the same, and adaptive has not changed"
    execute(database_url, "UPDATE rule_scores SET score = score - 0.2 WHERE rule = 'adaptive' AND model_name = 'good'")
    assert len(audit_scores(database, stricter).differences) == 1, "a rule whose constants did not change"
    learn(stricter, good=(96, 4), bad=(90, 10))
    audit = audit_scores(database, stricter)
    assert (audit.differences, audit.unverified, audit.checked) == ([], [], 6), "new scores are verified again"


def test_verify_names_the_settings_that_changed(learn: Learn, database: Database, database_url: str) -> None:
    learn(THRESHOLD, good=(96, 4))
    env = {"DATABASE_URL": database_url}
    run_command("centralcloud", "settings", "set", "threshold.success_rate", "0.99", env=env)
    text = run_command("centralcloud", "verify", "--scores", env=env)
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.splitlines() == [
        "1 score recomputed, nothing differs",
        "2 scores of the rule threshold not verified: computed before a change of threshold.success_rate",
    ]
    document = json.loads(run_command("centralcloud", "verify", "--scores", "--json", env=env).stdout)
    assert document["unverified"] == [{"rule": "threshold", "settings": ["threshold.success_rate"], "scores": 2}]


def test_a_running_learner_sees_repaired_evidence(learn: Learn, database: Database, database_url: str) -> None:
    learn(good=(90, 10))
    learner = Learner(database, ADAPTIVE)
    learner.learn()
    execute(database_url, "UPDATE evidence SET successes = 0, failures = 100")
    execute(database_url, "UPDATE learning_control SET evidence_generation = evidence_generation + 1")
    (change,) = learner.learn().changes
    assert change.success_rate == 0
    repair(database, OPERATOR)
    (change,) = learner.learn().changes
    assert change.success_rate == 0.9


def test_a_pinned_score_stays_while_the_learner_runs(learn: Learn, database: Database, database_url: str) -> None:
    learn(good=(90, 10), bad=(20, 80))
    change = pin(database, ("bad", "complex"), Decimal("4.900"), None, OPERATOR)
    assert (change.new_score, published(database_url)["bad"]) == (4.9, 4.9)
    assert "pinned at 4.900 by an operator" in change.reason
    run = learn(good=(50, 50), bad=(0, 100))
    assert {change.model for change in run.changes} == {"good"}
    assert published(database_url)["bad"] == 4.9
    unpin(database, ("bad", "complex"), OPERATOR)
    run = Learner(database, ADAPTIVE).learn()
    assert [change.model for change in run.changes] == ["bad"], "the score of the rule is published again"
    assert audit_scores(database, ADAPTIVE).differences == []


def test_a_pin_ends_at_its_time(learn: Learn, database: Database, database_url: str) -> None:
    learn(bad=(20, 80))
    before = published(database_url)["bad"]
    pin(database, ("bad", "complex"), Decimal(5), None, OPERATOR)
    execute(database_url, "UPDATE score_pins SET expires_at = now() - interval '1 second'")
    Learner(database, ADAPTIVE).learn()
    assert published(database_url)["bad"] == before


def test_only_known_pairs_can_be_pinned_or_unpinned(learn: Learn, database: Database) -> None:
    learn(good=(90, 10))
    with pytest.raises(UnknownPairError, match="found no model godo, expected one that was ever chosen: good"):
        pin(database, ("godo", "complex"), Decimal(1), None, OPERATOR)
    with pytest.raises(
        UnknownPairError, match="found no good for simple tasks, expected one of its complexities: complex"
    ):
        pin(database, ("good", "simple"), Decimal(1), None, OPERATOR)
    with pytest.raises(UnknownPairError, match="found no pin of good"):
        unpin(database, ("good", "complex"), OPERATOR)


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD])
def test_a_rollback_restores_the_old_scores_and_is_not_redone_on_the_same_evidence(
    learn: Learn, database: Database, database_url: str, rules: list[Rule]
) -> None:
    learn(rules, good=(98, 2), bad=(50, 50))
    then, version = published(database_url), newest_version(database_url)
    learn(rules, force=True, good=(0, 400), bad=(300, 0), late=(100, 0))
    wrong = published(database_url)
    done = roll_back(database, rules, version, References(), OPERATOR)
    assert {change.model: change.new_score for change in done.undone} == {**then, "late": 2.0}, (
        "2.0 is what instances reported"
    )
    assert {change.model: change.old_score for change in done.undone} == wrong
    assert min(change.version or 0 for change in done.undone) > version, "new versions: instances follow"
    assert published(database_url) == {**then, "late": 2.0}
    learn(rules)
    learn(rules, good=(0, HOLD_OUTCOMES - 1), bad=(HOLD_OUTCOMES - 1, 0))
    assert published(database_url) == {**then, "late": 2.0}
    run = learn(rules, good=(100, 0), bad=(0, 100))
    assert {change.model for change in run.changes} >= {"good", "bad"}
    assert execute(database_url, "SELECT model_name FROM score_holds") == [("late",)]
    assert audit_scores(database, rules).differences == []


def test_a_rollback_to_an_unknown_version_is_refused_and_one_to_the_newest_does_nothing(
    learn: Learn, database: Database, database_url: str
) -> None:
    learn(good=(98, 2))
    with pytest.raises(Exception, match="found no version 99, expected one that"):
        roll_back(database, ADAPTIVE, 99, References(), OPERATOR)
    assert roll_back(database, ADAPTIVE, newest_version(database_url), References(), OPERATOR).undone == []


def test_while_frozen_nothing_is_published_and_learning_goes_on(
    learn: Learn, database: Database, database_url: str
) -> None:
    learn(good=(98, 2))
    before = published(database_url)
    freeze(database, "an audit", OPERATOR)
    run = learn(good=(0, 100), bad=(100, 0))
    assert (run.changes, run.evaluated, published(database_url)) == ([], 2, before)
    ((thought,),) = execute(
        database_url, "SELECT score::float8 FROM rule_scores WHERE rule = 'adaptive' AND model_name = 'good'"
    )
    assert thought < before["good"] - 1
    assert unfreeze(database, OPERATOR)
    assert not unfreeze(database, OPERATOR)
    Learner(database, ADAPTIVE).learn()
    assert published(database_url)["good"] == thought


def test_a_score_explains_itself(learn: Learn, database: Database) -> None:
    learn(good=(98, 2))
    with database.transaction() as connection:
        known = explain_score(connection, "good", "complex")
        history = score_history(connection, model="good", complexity=None, limit=10)
        with pytest.raises(UnknownPairError):
            explain_score(connection, "good", "simple")
    assert known["published"]["reason"].startswith("4.795 = 5 x (mean 0.969 of 100 outcomes since ")
    assert known["published"]["reason"] == known["rules"]["adaptive"]["reason"]
    assert "98 of 100 outcomes succeeded" in known["rules"]["threshold"]["reason"]
    assert [row["version"] for row in history] == [known["published"]["version"]]


def test_rules_are_compared_side_by_side(learn: Learn, database: Database) -> None:
    """The threshold rule takes the same step for 97% and for 100%, so it cannot tell them apart."""
    learn(THRESHOLD, best=(300, 0), good=(291, 9))
    with database.transaction() as connection:
        rows = {row["model"]: row for row in compare_rules(connection)}
    assert rows["best"]["scores"]["threshold"] == rows["good"]["scores"]["threshold"] == rows["good"]["published"]
    assert rows["best"]["scores"]["adaptive"] > rows["good"]["scores"]["adaptive"]


def test_the_scores_commands_print_their_results(learn: Learn, database_url: str) -> None:
    learn(good=(98, 2), bad=(10, 90))
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_RULE": "adaptive"}

    def run(*arguments: str, code: int = 0) -> str:
        result = run_command("centralcloud", *arguments, env=env)
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return (result.stdout or result.stderr).strip()

    explained = run("scores", "explain", "good", "complex")
    assert "mean 0.964 of 100 outcomes" in explained
    assert "of at least 90%, however often you look" in " ".join(explained.split())
    assert json.loads(run("scores", "explain", "good", "complex", "--json"))["published"]["version"] == 2
    assert "pinned at 1.500" in run("scores", "pin", "good", "complex", "1.5", "--until", "2099-01-01")
    assert run("scores", "unpin", "good", "complex").startswith("good (complex) is no longer pinned")
    assert json.loads(run("scores", "history", "good", "--json"))[0]["rule"] == "pin"
    assert "complex: the same choice (adaptive: good, threshold: good)" in run("scores", "--compare")
    assert json.loads(run("scores", "--compare", "--json"))["published_by"] == "adaptive"
    assert json.loads(run("scores", "rollback", "--to", "2", "--json"))["undone"][0]["new_score"] == 4.771
    assert run("freeze", "--reason", "a test").startswith("frozen")
    assert "frozen since" in run("scores", "explain", "good", "complex")
    assert re.search(r"no score is published: frozen \d+ seconds? ago by .+ \(a test\)", run("learn"))
    assert json.loads(run("learn", "--json"))["frozen"]["reason"] == "a test"
    assert run("unfreeze").startswith("published again")
    assert json.loads(run("learn", "--json"))["frozen"] is None
    for options in (["--reason", "x"], ["--dry-run", "--reason", "x"], ["--dry-run", "--force"]):
        assert "expected" in run("learn", *options, code=2), options
    assert "MODEL is empty" in run("scores", "history", "", code=2)
    assert "--subject is empty" in run("history", "--subject", "", code=2)
    assert "MODEL: found a byte that is not UTF-8" in run("scores", "explain", "\udcff", "complex", code=2)
    assert "put -- before a value that begins with -" in run("scores", "pin", "good", "complex", "-1", code=2)
    assert "VALUE is '-1'" in run("scores", "pin", "--", "good", "complex", "-1", code=2)
    assert run("verify", "--scores").endswith("scores recomputed, nothing differs")
    assert "expected a number from 0 to 5" in run("scores", "pin", "good", "complex", "6", code=2)
    assert "expected a time in the future" in run(
        "scores", "pin", "good", "complex", "3", "--until", "2020-01-01", code=2
    )
    assert "expected one of simple, medium, complex" in run("scores", "explain", "good", "hard", code=2)
    assert "found no version 77" in run("scores", "rollback", "--to", "77", code=1)
    env["CENTRALCLOUD_RULE"] = "bandit"
    assert "expected one of" in run("learn", code=2)


def test_a_manual_run_uses_the_rule_of_the_fleet_and_not_that_of_the_shell(learn: Learn, database_url: str) -> None:
    """This holds with --force, too, which concerns only the safety limits."""
    learn(ADAPTIVE, good=(98, 2), bad=(10, 90))
    before = published(database_url)
    shell = {"DATABASE_URL": database_url, "CENTRALCLOUD_RULE": "threshold"}
    assert run_command("centralcloud", "settings", "set", "rule", "adaptive", env=shell).returncode == 0
    for options in ([], ["--dry-run"], ["--force"]):
        result = run_command("centralcloud", "learn", "--json", *options, env=shell)
        assert result.returncode == 0, result.stderr
        assert (json.loads(result.stdout)["rule"], json.loads(result.stdout)["changes"]) == ("adaptive", [])
    assert published(database_url) == before
    assert run_command("centralcloud", "settings", "set", "rule", "threshold", env=shell).returncode == 0
    result = run_command("centralcloud", "learn", "--json", env={**shell, "CENTRALCLOUD_RULE": "adaptive"})
    assert json.loads(result.stdout)["rule"] == "threshold"
    assert published(database_url) != before


def test_the_comparison_marks_the_rule_that_published_and_not_that_of_the_shell(
    learn: Learn, database: Database, database_url: str
) -> None:
    learn(ADAPTIVE, good=(98, 2), bad=(10, 90))
    for rule in ("threshold", "adaptive"):
        env = {"DATABASE_URL": database_url, "CENTRALCLOUD_RULE": rule}
        document = json.loads(run_command("centralcloud", "scores", "--compare", "--json", env=env).stdout)
        assert document["published_by"] == "adaptive"
        for row in document["pairs"]:
            assert row["rule"] == "adaptive"
            assert row["scores"]["adaptive"] == row["published"]
        table = run_command("centralcloud", "scores", "--compare", env=env).stdout.splitlines()
        assert table[0].split() == ["model", "complexity", "published", "adaptive", "(published)", "threshold"]
        scores = [score for line in table[1:3] for score in line.split()[2:]]
        assert len(scores) == 6
        assert all(re.fullmatch(r"\d\.\d{3}", score) for score in scores), table
    pin(database, ("good", "complex"), Decimal("1.000"), None, OPERATOR)
    document = json.loads(run_command("centralcloud", "scores", "--compare", "--json", env=env).stdout)
    assert document["published_by"] == "adaptive", "a pin is not a rule"
    learn(THRESHOLD, good=(0, 100), bad=(100, 0))
    document = json.loads(run_command("centralcloud", "scores", "--compare", "--json", env=env).stdout)
    assert document["published_by"] == "threshold"


def test_an_expired_pin_has_no_effect(learn: Learn, database: Database, database_url: str) -> None:
    learn(THRESHOLD, good=(98, 2))
    then, version = published(database_url), newest_version(database_url)
    pin(database, ("good", "complex"), Decimal(1), None, OPERATOR)
    execute(database_url, "UPDATE score_pins SET expires_at = now() - interval '1 second'")
    learn(THRESHOLD, good=(0, 100))
    assert published(database_url) != then
    assert len(roll_back(database, THRESHOLD, version, References(), OPERATOR).undone) == 1
    assert published(database_url) == then


def test_a_hold_ends_after_its_outcomes_also_with_a_small_min_samples(
    learn: Learn, database: Database, database_url: str
) -> None:
    eager = [ThresholdRule(ThresholdSettings(min_samples=20)), AdaptiveRule()]
    learn(eager, good=(100, 0))
    version = newest_version(database_url)
    learn(eager, good=(0, 100))
    roll_back(database, eager, version, References(), OPERATOR)
    for expected in ([], [], ["good"]):
        assert [change.model for change in learn(eager, good=(20, 0)).changes] == expected


def test_the_end_of_a_hold_does_not_publish_the_score_that_was_rolled_back(
    learn: Learn, database: Database, database_url: str
) -> None:
    """The threshold rule needs 100 outcomes for its next evaluation, and the hold ends after 50."""
    learn(THRESHOLD, good=(98, 2))
    then, version = published(database_url), newest_version(database_url)
    learn(THRESHOLD, good=(0, 100))
    roll_back(database, THRESHOLD, version, References(), OPERATOR)
    assert learn(THRESHOLD, good=(60, 0)).changes == []
    assert published(database_url) == then
    assert [change.new_score for change in learn(THRESHOLD, good=(40, 0)).changes] == [round(then["good"] + 0.3, 3)]


def test_a_switch_of_rules_does_not_publish_a_rolled_back_score_again(
    learn: Learn, database: Database, database_url: str
) -> None:
    learn(THRESHOLD, good=(98, 2))
    then, version = published(database_url), newest_version(database_url)
    learn(THRESHOLD, good=(0, 400))
    roll_back(database, THRESHOLD, version, References(), OPERATOR)
    learn(ADAPTIVE, good=(1, 0))
    assert published(database_url) == then
    learn(ADAPTIVE, good=(50, 0))
    assert published(database_url)["good"] > 4.7


def test_concurrent_runs_of_replicas_do_not_fail(learn: Learn, database: Database, database_url: str) -> None:
    learn(ADAPTIVE, good=(98, 2), bad=(20, 80))
    send(database_url, [an_event(selected_model="good", outcome="failure") for _ in range(50)])
    drain(database, batch_size=100)
    barrier = threading.Barrier(8)
    runs: list[LearningRun] = []

    def run() -> None:
        learner = Learner(database, THRESHOLD)
        barrier.wait()
        runs.append(learner.learn())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 8
