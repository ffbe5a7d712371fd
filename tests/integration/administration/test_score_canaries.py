"""Learned scores that change who leads: held back for a canary, published once when it is promoted, withdrawn when not."""

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from support.events import an_event, send
from support.fleet import Fleet
from support.operators import OPERATOR
from support.servers import execute, new_database
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.administration.experiments import change, remove_experiment, start
from centralcloud.administration.overtaken_canaries import stop_overtaken
from centralcloud.administration.promoted_scores import publish_promoted
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.score_canaries import ScoreCanaries
from centralcloud.administration.score_overrides import freeze, pin, roll_back, unfreeze, unpin
from centralcloud.administration.verification import verify
from centralcloud.cli.app import app
from centralcloud.contracts.experiment_changes import moved, paused, promoted, stopped
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.daemon import Daemon
from centralcloud.experiments.task import ExperimentTask
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner, LearningRun
from centralcloud.learning.publication_gate import Gated, PublicationGate
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.learning.safety import SafetyLimits
from centralcloud.learning.settings import CanarySettings, FixedLearningSettings, PublicationMode
from centralcloud.monitoring.daemon_activity import LearnerSchedule
from centralcloud.monitoring.experiment_metrics import ExperimentSnapshot, experiment_metrics
from centralcloud.monitoring.experiment_states import read_experiment_states
from centralcloud.monitoring.finding_detector import FindingDetector, list_findings
from centralcloud.monitoring.score_canaries import read_score_canaries
from centralcloud.monitoring.status import fleet_status
from centralcloud.monitoring.work_checks import work_checks
from centralcloud.runtime.configuration.experiments import change_stage, read_experiments
from centralcloud.runtime.configuration.writing import Author
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings
from centralcloud.store.slices import References

REQUESTS = itertools.count()
RULES = [AdaptiveRule(), ThresholdRule()]
DAEMON = Author(who="centralcloud", via="daemon", source="test")


class LearningFleet:
    """A fleet whose gateways use the models a and b; a leads complex tasks."""

    def __init__(self, database: Database, url: str) -> None:
        self.database, self.url = database, url

    def ingest(self, *, gateways: bool = True, complexity: str = "complex", **models: tuple[int, int]) -> None:
        """Ingest outcomes: (successes, failures) of each model."""
        events = []
        for model, (successes, failures) in models.items():
            for n, outcome in enumerate(["success"] * successes + ["failure"] * failures):
                request = {"request_id": f"019a7a3e-1f2b-7c3d-8e4f-{next(REQUESTS):012d}"} if gateways else {}
                events.append(
                    an_event(
                        f"g-{n % 3}",
                        selected_model=model,
                        outcome=outcome,
                        response_time_ms=1000,
                        complexity=complexity,
                        complexity_score=2.0,
                        **request,
                    )
                )
        send(self.url, events)
        drain(self.database, batch_size=1000)
        self.acknowledge()

    def acknowledge(self) -> None:
        """Let the gateways be seen."""
        execute(self.url, "SELECT centralcloud.acknowledge('g-' || n, 0) FROM generate_series(0, 2) AS n")

    def traffic(self, requests: int) -> None:
        """Let the sums of use have so many complex requests of the last day."""
        execute(self.url, "UPDATE roll_up_progress SET rolled_up_until = now()")  # a daemon does not sum them again
        execute(self.url, "DELETE FROM usage_roll_ups")
        execute(
            self.url,
            "INSERT INTO usage_roll_ups (window_start, id, requests, successes, complexity, workspace, key_id, policy, "
            "worker, task_type, model_name, provider) SELECT now() - interval '20 hours', gen_random_uuid(), %s, %s, "
            "'complex', '', '', '', '', '', 'a', 'p'",
            (requests, requests),
        )

    def learn(self, publication: PublicationMode = "canary", *, force: bool = False, **canary: Any) -> LearningRun:
        return self.learner(publication, **canary).learn(force=force, operator=OPERATOR)

    def learner(
        self, publication: PublicationMode = "canary", gate: PublicationGate | None = None, **canary: Any
    ) -> Learner:
        settings = FixedLearningSettings(
            RULES, References(), SafetyLimits(), publication=publication, canary=CanarySettings(**canary)
        )
        return Learner(self.database, read_settings=lambda _: settings, gate=gate or ScoreCanaries())

    def round(self, publication: PublicationMode = "canary", rule: str = "adaptive") -> None:
        """Do the work of the daemon after each round of experiments."""
        stop_overtaken(self.database, publication, rule)
        publish_promoted(self.database, sorted(RULES, key=lambda each: each.name != rule), References())

    @property
    def canaries(self) -> list[Experiment]:
        with self.database.transaction() as connection:
            found = [each.experiment for each in read_experiments(connection)]
        return [each for each in found if each.learned_by is not None]

    @property
    def canary(self) -> Experiment:
        (found,) = self.canaries
        return found

    def end(self, status: Any, reason: str = "worse than control", *, earlier: float = 0.0) -> None:
        """End the open canary as the ramp does, some hours ago."""
        with self.database.transaction() as connection:
            (found,) = [
                each for each in read_experiments(connection) if each.experiment.learned_by and each.experiment.is_open
            ]
            stage = found.experiment.stage
            since = stage.since - timedelta(hours=earlier)
            after = moved(stage, since, status, reason)
            winner = "learned" if status == "promoted" else None
            change_stage(
                connection, replace(found.experiment, stage=replace(after, winner=winner)), found.version, DAEMON
            )

    @property
    def scores(self) -> dict[str, float]:
        """The published scores of complex tasks."""
        rows = execute(self.url, "SELECT model_name, score FROM model_scores ORDER BY 1")
        return {row[0]: float(row[1]) for row in rows}

    @property
    def believed(self) -> dict[str, float]:
        rows = execute(self.url, "SELECT model_name, score FROM rule_scores WHERE rule = 'adaptive' ORDER BY 1")
        return {row[0]: float(row[1]) for row in rows}

    @property
    def sent(self) -> list[tuple[str, float]]:
        """Every message to the instances."""
        rows = execute(self.url, "SELECT message FROM pgmq.q_model_score_updates ORDER BY msg_id")
        return [(row[0]["model"], row[0]["new_score"]) for row in rows]


@pytest.fixture(scope="module")
def learned(server: str, template: str) -> Iterator[str]:
    """Name of a database in which a leads, and the evidence for b to lead is ingested; to be copied."""
    with new_database(server, template) as url:
        with Database(url, application_name="tests") as database:
            found = LearningFleet(database, url)
            found.ingest(a=(90, 10), b=(60, 40), c=(50, 50))
            found.learn("direct")
            found.ingest(b=(600, 0), c=(20, 20))
        yield psycopg.conninfo.conninfo_to_dict(url)["dbname"]


@pytest.fixture
def fleet(server: str, learned: str) -> Iterator[LearningFleet]:
    with new_database(server, learned) as url, Database(url, application_name="tests") as database:
        found = LearningFleet(database, url)
        found.acknowledge()
        yield found


def test_a_new_leader_waits_for_a_canary_and_other_scores_are_published(fleet: LearningFleet) -> None:
    before = fleet.scores
    preview = fleet.learner().preview()
    assert ([each.model for each in preview.held], fleet.canaries) == (["a", "b"], []), "a preview starts nothing"
    run = fleet.learn()
    canary = fleet.canary
    assert [each.model for each in run.held] == ["a", "b"]
    assert run.canary == canary.id
    assert canary.id.startswith("learned-adaptive-")
    reason = "b would lead complex tasks, not a (100.0% of traffic)"
    assert run.held_because == [f"the canary {canary.id} judges 2 scores first: {reason}"]
    assert (canary.name, canary.stage.reason) == (f"scores of adaptive: {reason}", reason)
    assert (canary.scope.complexities, canary.plan.require_better, canary.stage.by_hand) == (("complex",), False, False)
    assert [each.model for each in run.changes] == ["c"]
    assert {**before, "c": fleet.scores["c"]} == fleet.scores, "a and b are as they were"
    table = {each.model_id: each for each in canary.treatments[0].score_table}
    assert {name: each.score for name, each in table.items()} == {name: fleet.believed[name] for name in ("a", "b")}
    assert all(each.draw_n and each.n_eff for each in table.values())
    log = execute(fleet.url, "SELECT who, via, subject, reason FROM operator_actions WHERE subject LIKE 'experiment/%'")
    ((who, *rest),) = log
    assert who.startswith("centralcloud as ")
    assert rest == ["daemon", f"experiment/{canary.id}", reason]


def test_commands_say_which_scores_wait_and_which_are_withdrawn(fleet: LearningFleet) -> None:
    def shown(*command: str) -> str:
        done = CliRunner().invoke(app, command, env={"DATABASE_URL": fleet.url})
        assert done.exit_code == 0, done.output
        return done.output

    assert "publication" not in dict(checks(fleet)), "nothing to say of a fleet whose publication is direct"
    for name in ("publication", "rule"):
        value = {"publication": "canary", "rule": "adaptive"}[name]
        execute(fleet.url, "INSERT INTO fleet_settings (name, value) VALUES (%s, to_jsonb(%s::text))", (name, value))
    dry = shown("learn", "--dry-run")
    assert "2 scores wait: the canary learned-adaptive-" in dry
    run = json.loads(shown("learn", "--json"))
    assert (run["canary"], [each["model"] for each in run["held"]]) == (fleet.canary.id, ["a", "b"])
    name = fleet.canary.id
    words = (
        f"2 scores of adaptive wait for the canary {name} (running with 1.0% of the sessions): scores of adaptive: b would "
        "lead complex tasks, not a (100.0% of traffic)"
    )
    assert words in shown("scores")
    assert checks(fleet)["publication"] == words
    explained = shown("scores", "explain", "b", "complex")
    assert f"a score of {fleet.believed['b']:.3f} is held back; {words}" in explained
    canaries = {each["model"]: each["canary"] for each in json.loads(shown("scores", "--json"))}
    assert canaries == {
        "a": {"experiment": name, "score": fleet.believed["a"], "again_at": None},
        "b": {"experiment": name, "score": fleet.believed["b"], "again_at": None},
        "c": None,
    }
    with fleet.database.transaction() as connection:
        (metric,) = [
            each
            for each in experiment_metrics(ExperimentSnapshot(read_experiment_states(connection)))
            if each.name == "centralcloud_experiment_scores_waiting"
        ]
    assert [(each.labels, each.value) for each in metric.samples] == [({"experiment": name}, 2)]

    fleet.end("rolledBack")
    status = fleet_status(fleet.database, measure_seconds=0.1)
    ((found, again_at),) = [(each["found"], each["again_at"]) for each in status["score_canaries"]]
    assert found.startswith(
        f"2 scores of adaptive withdrawn: the canary {name} is rolled back (worse than control); proposed again from 20"
    )
    assert again_at is not None
    FindingDetector(fleet.database).run_once()
    with fleet.database.transaction() as connection:
        (finding,) = list_findings(connection, kind="experiment_rolled_back")
    assert "It has withdrawn 2 scores of adaptive: " in finding["message"]

    execute(fleet.url, "DELETE FROM instances")
    assert checks(fleet)["publication"].startswith("publication is canary, and no gateway is alive")


def checks(fleet: LearningFleet) -> dict[str, str]:
    """Return what the doctor finds, by check."""
    found = {each.name: each.make() for each in work_checks(fleet.database, LearnerSchedule())}
    return {name: result.found for name, result in found.items() if result is not None}


def test_later_runs_wait_for_the_canary_and_start_no_other_one(fleet: LearningFleet) -> None:
    first = fleet.learn().canary
    fleet.ingest(b=(200, 0), c=(10, 10))
    before, versions = fleet.scores, len(fleet.sent)
    run = fleet.learn()
    assert (run.canary, fleet.canary.id) == (None, first)
    assert run.held_because == [f"the canary {first} judges 2 scores first"]
    assert {each.model for each in run.held} == {"a", "b"}
    assert {name: fleet.scores[name] for name in "ab"} == {name: before[name] for name in "ab"}
    assert fleet.believed["b"] > {each.model_id: each.score for each in fleet.canary.treatments[0].score_table}["b"]
    assert len(fleet.sent) == versions + len(run.changes)
    fleet.ingest(b=(150, 50))
    run = fleet.learn()
    assert before["b"] < fleet.believed["b"] < before["a"], "it would no longer lead"
    assert "b" in {each.model for each in run.held}, "but is judged all the same"
    assert verify(fleet.database).ok
    assert audit_scores(fleet.database, RULES).differences == []


def test_a_promoted_table_is_published_once_and_the_rules_go_on_from_their_evidence(fleet: LearningFleet) -> None:
    fleet.learn()
    table = {each.model_id: each.score for each in fleet.canary.treatments[0].score_table}
    fleet.end("promoted", "not worse")
    assert fleet.learn().changes == [], "promoted, but not published yet: killed in between"
    states = execute(fleet.url, "SELECT * FROM rule_scores ORDER BY 1, 2, 3")
    sent = len(fleet.sent)
    for _ in range(2):
        fleet.round()
    assert sorted(fleet.sent[sent:]) == sorted(table.items()), "once"
    assert {name: fleet.scores[name] for name in table} == table
    assert execute(fleet.url, "SELECT * FROM rule_scores ORDER BY 1, 2, 3") == states
    assert execute(fleet.url, "SELECT count(*) FROM score_holds") == [(0,)]
    fleet.ingest(b=(300, 0))
    run = fleet.learn()
    assert list(run.held) == []
    assert fleet.scores["b"] == fleet.believed["b"], "later runs are published directly"
    assert audit_scores(fleet.database, RULES).differences == []
    actions = execute(fleet.url, "SELECT action, via FROM operator_actions WHERE action = 'promote_scores'")
    assert actions == [("promote_scores", "daemon")]


def test_a_withdrawn_leader_is_not_proposed_again_until_the_time_is_over_or_the_canary_is_removed(
    fleet: LearningFleet,
) -> None:
    first = fleet.learn().canary
    fleet.end("rolledBack")
    before = fleet.scores
    run = fleet.learn()
    assert (run.canary, fleet.scores["b"]) == (None, before["b"])
    assert run.held_because[0].startswith(
        f"the canary {first} has withdrawn b for complex tasks; proposed again from 20"
    )
    second = fleet.learn(again_hours=0).canary
    assert (fleet.canary.id, fleet.canary.plan.alpha) == (second, 0.025), (
        "in place of the first, with half of its alpha"
    )
    change(fleet.database, second or "", stopped, OPERATOR)
    assert fleet.learn().canary is None, "an operator who stops it withdraws it, too"
    remove_experiment(fleet.database, second or "", OPERATOR)
    assert fleet.learn().canary == fleet.canary.id


def test_a_withdrawn_leader_stays_withdrawn_when_another_canary_follows(fleet: LearningFleet) -> None:
    first = fleet.learn().canary
    fleet.end("rolledBack")
    fleet.ingest(complexity="simple", d=(90, 10), e=(60, 40))
    fleet.learn()
    fleet.ingest(complexity="simple", e=(600, 0))
    second = fleet.learn().canary
    assert second is not None
    fleet.end("rolledBack")
    run = fleet.learn()
    assert (run.canary, {each.id for each in fleet.canaries}) == (None, {first, second})
    run = fleet.learn(again_hours=0)
    assert {each.plan.alpha for each in fleet.canaries if each.is_open} == {0.025}
    assert len(fleet.canaries) == 1, "it judges the pairs of both"


def test_the_time_of_a_withdrawal_ends(fleet: LearningFleet) -> None:
    first = fleet.learn().canary
    fleet.end("undecided", earlier=24.1)
    assert fleet.learn().canary not in (None, first)


def test_an_operator_who_sets_a_score_stops_the_canary(fleet: LearningFleet) -> None:
    first = fleet.learn().canary
    fleet.round()
    assert fleet.canary.is_open
    pin(fleet.database, ("b", "complex"), Decimal("1.000"), None, OPERATOR)
    fleet.round()
    stage = fleet.canary.stage
    assert (stage.status, stage.share, stage.by_hand) == ("stopped", 0.0, False)
    assert stage.reason.startswith("overtaken: b (complex) was published meanwhile, version ")
    run = fleet.learn()
    assert (list(run.held), fleet.scores["b"]) == ([], 1.0)
    execute(fleet.url, "DELETE FROM score_pins")
    assert fleet.learn().canary not in (None, first), "its leaders are not withdrawn"


def test_a_rollback_wins_even_over_a_canary_that_was_just_promoted(fleet: LearningFleet) -> None:
    before = fleet.scores
    pin(fleet.database, ("b", "complex"), Decimal("1.000"), None, OPERATOR)
    unpin(fleet.database, ("b", "complex"), OPERATOR)
    fleet.learn()
    roll_back(fleet.database, RULES, 3, References(), OPERATOR)
    assert fleet.scores["b"] == before["b"]
    fleet.end("promoted")
    fleet.round()
    assert fleet.scores["b"] == before["b"]
    ((facts,),) = execute(fleet.url, "SELECT facts FROM experiment_verdicts WHERE verdict = 'published'")
    assert (facts["scores"], facts["overtaken"][:11]) == (0, "b (complex)")


@pytest.mark.parametrize("changed", ["frozen", "threshold"])
def test_a_freeze_or_another_rule_wins_even_over_a_canary_that_was_just_promoted(
    fleet: LearningFleet, changed: str
) -> None:
    fleet.learn()
    before = fleet.scores
    fleet.end("promoted")
    if changed == "frozen":
        freeze(fleet.database, "an incident", OPERATOR)
        fleet.round()
    else:
        fleet.round(rule="threshold")
    assert fleet.scores == before
    ((facts,),) = execute(fleet.url, "SELECT facts FROM experiment_verdicts WHERE verdict = 'published'")
    assert (facts["scores"], changed in facts["overtaken"]) == (0, True)
    unfreeze(fleet.database, OPERATOR)
    assert fleet.learn().canary == fleet.canary.id, "it is proposed again"


def test_another_setting_a_freeze_or_a_forced_run_stops_the_canary(fleet: LearningFleet) -> None:
    def stopped_by(*settings: Any) -> str:
        fleet.round(*settings)
        assert fleet.canary.stage.status == "stopped"
        return fleet.canary.stage.reason

    fleet.learn()
    assert stopped_by("direct", "adaptive") == "overtaken: the setting publication is direct"
    fleet.learn()
    assert stopped_by("canary", "threshold") == "overtaken: the rule is threshold"
    fleet.learn()
    freeze(fleet.database, "an incident", OPERATOR)
    assert stopped_by() == "overtaken: scores are frozen"
    unfreeze(fleet.database, OPERATOR)
    fleet.learn()
    run = fleet.learn(force=True)
    assert ({each.model for each in run.changes}, list(run.held)) == ({"a", "b"}, [])
    assert "(complex) was published meanwhile, version" in stopped_by()


def test_an_experiment_of_an_operator_on_the_same_tasks_goes_first(fleet: LearningFleet) -> None:
    def begun(*complexities: str) -> str:
        asked = {"name": "mine", "scope": {"complexities": list(complexities)}, "treatments": [{"model": "b"}]}
        return start(fleet.database, asked, OPERATOR, field="experiment").experiment.id

    mine = begun("simple", "complex")
    run = fleet.learn()
    assert (run.canary, run.held_because) == (None, [f"the experiment {mine} has complex tasks"])
    assert {each.model for each in run.held} == {"a", "b"}
    change(fleet.database, mine, stopped, OPERATOR)
    begun("simple")
    assert fleet.learn().canary == fleet.canary.id
    mine = begun("complex")
    fleet.round()
    assert fleet.canary.stage.reason == f"overtaken: the experiment {mine} has its tasks"


def test_an_experiment_of_a_part_of_the_tasks_or_one_that_has_ended_keeps_no_scores_waiting(
    fleet: LearningFleet,
) -> None:
    for scope in ({"workspaces": ["acme"]}, {"policies": ["p"]}, {"taskTypes": ["code"]}, {"requestedModels": ["a"]}):
        asked = {"name": "a part", "scope": scope, "treatments": [{"model": "b"}]}
        start(fleet.database, asked, OPERATOR, field="experiment")
    whole = start(fleet.database, {"name": "all", "treatments": [{"model": "b"}]}, OPERATOR, field="experiment")
    assert fleet.learn().held_because == [f"the experiment {whole.experiment.id} has complex tasks"]
    change(fleet.database, whole.experiment.id, promoted, OPERATOR)
    assert fleet.learn().canary == fleet.canary.id
    fleet.round()
    assert fleet.canary.is_open


def test_while_no_gateway_is_seen_scores_wait_and_an_open_canary_goes_on(fleet: LearningFleet) -> None:
    def unseen() -> None:
        execute(fleet.url, "UPDATE instances SET last_seen_at = now() - interval '16 minutes'")

    before = fleet.scores
    unseen()
    run = fleet.learn()
    assert (run.canary, run.held_because, fleet.canaries) == (None, ["no gateway was seen in the last 15 minutes"], [])
    fleet.acknowledge()
    assert fleet.learn().canary == fleet.canary.id
    unseen()
    run = fleet.learn()
    fleet.round()
    assert ({each.model for each in run.held}, fleet.scores["b"]) == ({"a", "b"}, before["b"])
    assert fleet.canary.is_open


def test_a_canary_that_the_traffic_could_not_decide_is_skipped(fleet: LearningFleet) -> None:
    fleet.traffic(1000)
    skipped = fleet.learner().preview()
    assert (list(skipped.held), skipped.canary) == ([], None)
    fleet.traffic(20_000)
    assert [each.model for each in fleet.learner().preview().held] == ["a", "b"]
    fleet.traffic(1000)
    run = fleet.learn()
    assert {"a", "b"} <= {each.model for each in run.changes}
    assert fleet.scores["b"] == fleet.believed["b"]


def test_a_clock_that_was_set_back_stops_no_canary(fleet: LearningFleet) -> None:
    execute(fleet.url, "UPDATE model_scores SET updated_at = now() + interval '1 hour'")
    fleet.learn()
    fleet.round()
    assert fleet.canary.is_open
    pin(fleet.database, ("b", "complex"), Decimal("1.000"), None, OPERATOR)
    execute(fleet.url, "UPDATE model_scores SET updated_at = now() - interval '1 hour'")
    fleet.round()
    assert fleet.canary.stage.reason.startswith("overtaken: b (complex) was published meanwhile")


def test_a_canary_that_an_operator_has_paused_is_said_to_wait_for_one(fleet: LearningFleet) -> None:
    fleet.learn()
    change(fleet.database, fleet.canary.id, paused, OPERATOR)
    with fleet.database.transaction() as connection:
        (found,) = read_score_canaries(connection).waiting
    assert "(paused by hand, until it is resumed or stopped)" in str(found)


def test_a_fall_by_an_alarm_does_not_wait_and_stops_the_canary(fleet: LearningFleet) -> None:
    fleet.learn()
    fleet.ingest(a=(0, 300))
    run = fleet.learn()
    assert "a" in {each.model for each in run.changes if each.new_score < each.old_score}
    assert [each.model for each in run.held] == ["b"]
    fleet.round()
    assert fleet.canary.stage.reason.startswith("overtaken: a (complex) was published meanwhile")


def test_without_a_gateway_or_with_little_traffic_everything_is_published_as_with_direct(
    server: str, template: str
) -> None:
    def published(publication: PublicationMode, *, gateways: bool, **canary: Any) -> list[Any]:
        with new_database(server, template) as url, Database(url, application_name="tests") as database:
            fleet = LearningFleet(database, url)
            fleet.ingest(a=(90, 10), b=(60, 40), c=(50, 50), gateways=gateways)
            fleet.learn(publication, **canary)
            fleet.ingest(b=(600, 0), c=(20, 20), gateways=gateways)
            run = fleet.learn(publication, **canary)
            assert (list(run.held), fleet.canaries) == ([], [])
            return execute(
                url,
                "SELECT version, model_name, old_score, new_score, mean, n_eff, draw_n, low, high, probe_share, kind, "
                "after_slice, through_slice, regexp_replace(reason, 'since [0-9 :-]+', '') "
                "FROM model_score_history ORDER BY version",
            )

    direct = published("direct", gateways=True)
    assert len(direct) > 3
    assert published("canary", gateways=False) == direct
    assert published("canary", gateways=True, traffic_share=1.0) == direct


def test_a_killed_run_proposes_the_same_again(fleet: LearningFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    before = fleet.scores
    with monkeypatch.context() as patch:
        patch.setattr("centralcloud.learning.learner.report_findings", kill)  # after the canary was started
        with pytest.raises(Killed):
            fleet.learn()
    assert (fleet.canaries, fleet.scores) == ([], before)
    run = fleet.learn()
    assert ([each.model for each in run.held], run.canary) == (["a", "b"], fleet.canary.id)


def test_two_replicas_that_learn_at_the_same_time_start_one_canary(fleet: LearningFleet) -> None:
    runs: list[LearningRun] = []
    fleet.learn()
    fleet.end("rolledBack")
    fleet.learn()
    remove_experiment(fleet.database, fleet.canary.id, OPERATOR)  # the next run starts one, and writes nothing else

    class Slow(ScoreCanaries):
        def hold(self, *arguments: Any) -> Gated:
            gated = super().hold(*arguments)
            if not runs:
                runs.append(fleet.learn())  # the other replica
            return gated

    run = fleet.learner(gate=Slow()).learn()
    assert (run.canary, runs[0].canary) == (None, fleet.canary.id)
    assert run.held_because == [f"the canary {fleet.canary.id} judges 2 scores first"]


def test_the_daemon_stops_a_canary_that_was_overtaken_and_publishes_one_that_was_promoted(
    fleet: LearningFleet,
) -> None:
    settings = Settings(
        rule="adaptive",
        publication="canary",
        learn_interval_seconds=0.3,
        experiments_interval_seconds=0.2,
        database_url=fleet.url,
    )
    fleet.traffic(100_000)  # those of the daemon's own sums are too few for a canary
    daemon = Daemon(settings, fleet.database)
    daemon.start()
    try:
        eventually(lambda: fleet.canary.is_open, what="a canary")
        freeze(fleet.database, "an incident", OPERATOR)
        eventually(lambda: fleet.canary.stage.status == "stopped", what="its end")
        unfreeze(fleet.database, OPERATOR)
        eventually(lambda: fleet.canary.is_open, what="the next canary")
        table = {each.model_id: each.score for each in fleet.canary.treatments[0].score_table}
        change(fleet.database, fleet.canary.id, promoted, OPERATOR)
        eventually(lambda: fleet.scores["b"] == table["b"], what="its scores")
        verdicts = "SELECT count(*) FROM experiment_verdicts WHERE verdict = 'published'"
        assert execute(fleet.url, verdicts) == [(1,)]
    finally:
        daemon.stop()


def test_the_worker_role_starts_ramps_and_stops_a_canary(shared_fleet: Fleet) -> None:
    with Database(shared_fleet.worker, application_name="tests") as worker:
        fleet = LearningFleet(worker, shared_fleet.owner)
        fleet.ingest(a=(90, 10), b=(60, 40))
        fleet.learn("direct")
        fleet.ingest(b=(600, 0))
        fleet.learn()
        ExperimentTask(worker, after_round=fleet.round).run_once()
        assert fleet.canary.is_open
        fleet.round("direct")
        assert fleet.canary.stage.status == "stopped"
    started = "SELECT centralcloud.start_score_canary('x', '%s', 'w', 's', 'r')"
    for body in ('{"id": "x"}', '{"id": "x", "learnedBy": "r", "treatments": [{"model": "m"}]}'):
        with pytest.raises(psycopg.Error, match="expected an experiment with the id 'x', with learnedBy"):
            execute(shared_fleet.worker, started % body)
    for role in (shared_fleet.gateway, shared_fleet.operator, shared_fleet.configurator):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(role, started % "{}")
