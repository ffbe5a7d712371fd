"""The background task: folds open experiments and advances them together, one replica at a time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from support.experiment_events import BEGAN, Asked, an_experiment, events_of
from support.ingest import ingest
from support.servers import execute

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentPlan, to_body
from centralcloud.experiments import task
from centralcloud.experiments.folding import Folded
from centralcloud.experiments.results import read_verdicts
from centralcloud.experiments.task import UNFOLDED, ExperimentTask
from centralcloud.experiments.watermark import beat
from centralcloud.runtime.postgres.database import Database


def configure(url: str, *experiments: Experiment, removed: tuple[str, ...] = ()) -> None:
    """Write experiments into the configuration."""
    changes = [{"kind": "experiment", "id": each.id, "body": to_body(each)} for each in experiments]
    changes += [{"kind": "experiment", "id": name, "body": None} for name in removed]
    execute(
        url,
        "SELECT centralcloud.write_configuration((SELECT config_version FROM configuration_state), %s, 'a', 'cli', 'b')",
        (json.dumps(changes),),
    )


class Advancing:
    """Takes the place of the ramp, and remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Folded, datetime]] = []
        self.error: Exception | None = None

    def __call__(
        self, _connection: psycopg.Connection[Any], experiment: Experiment, evidence: Folded, now: datetime
    ) -> None:
        self.seen.append((experiment.id, evidence, now))
        if self.error is not None:
            raise self.error


NOW = BEGAN + timedelta(hours=4)


def task_of(database: Database, advance: Advancing) -> ExperimentTask:
    return ExperimentTask(database, advance=advance, clock=lambda: NOW)


def test_without_an_experiment_it_writes_nothing(database: Database, database_url: str) -> None:
    rounds: list[None] = []
    looking = ExperimentTask(database, after_round=lambda: rounds.append(None))
    assert looking.run_once() is False
    assert execute(database_url, "SELECT (SELECT count(*) FROM leases), seen_at FROM experiment_heartbeat") == [
        (0, None)
    ]
    assert not rounds


def test_an_open_experiment_is_folded_and_advanced_in_one_transaction(database: Database, database_url: str) -> None:
    ingest(database, database_url, events_of(Asked(1), Asked(2, "new")))
    configure(database_url, an_experiment())
    advance = Advancing()
    advance.error = CentralCloudError("refused")
    with pytest.raises(CentralCloudError, match="refused"):
        task_of(database, advance).run_once()
    assert execute(database_url, "SELECT count(*) FROM experiment_progress") == [(0,)], "the fold is undone with it"
    advance.error = None
    assert task_of(database, advance).run_once() is False
    experiment, evidence, now = advance.seen[-1]
    assert (experiment, evidence.decisions, now) == ("greeting", 2, NOW)
    assert execute(database_url, "SELECT seen_at FROM experiment_heartbeat") == [(NOW,)]


def test_the_ramp_goes_up_by_itself(database: Database, database_url: str) -> None:
    """With the ramp that the daemon uses: treatment is worse, the experiment is paused, with a verdict and a version."""
    asked = [Asked(n / 2, ("control", "new")[n % 2], success=n % 2 == 0) for n in range(200)]
    ingest(database, database_url, events_of(*asked))
    configure(database_url, an_experiment())
    ExperimentTask(database, clock=lambda: NOW).run_once()
    with database.transaction() as connection:
        assert [each.verdict for each in read_verdicts(connection)] == ["paused"]
    (version,) = execute(database_url, "SELECT config_version FROM configuration_state")[0]
    assert version == 2


def test_only_the_holder_of_the_lease_folds(database: Database, database_url: str) -> None:
    configure(database_url, an_experiment())
    execute(database_url, "INSERT INTO leases VALUES ('experiments', 'another', now() + interval '1 minute')")
    advance = Advancing()
    assert task_of(database, advance).run_once() is False
    assert not advance.seen
    execute(database_url, "UPDATE leases SET expires_at = now()")
    task_of(database, advance).run_once()
    assert len(advance.seen) == 1


def test_what_waits_in_the_queue_holds_the_watermark_back(database: Database, database_url: str) -> None:
    ingest(database, database_url, events_of(Asked(1)))
    configure(database_url, an_experiment())
    execute(database_url, "SELECT pgmq.send('model_routing_decisions', '{}')")
    execute(
        database_url,
        "UPDATE pgmq.q_model_routing_decisions SET enqueued_at = %s, vt = %s",
        (BEGAN + timedelta(minutes=5),) * 2,
    )
    advance = Advancing()
    task_of(database, advance).run_once()
    assert advance.seen[-1][1].folded_until == BEGAN, "5 minutes are less than outcomes may take"
    execute(
        database_url, "UPDATE pgmq.q_model_routing_decisions SET enqueued_at = %s", (BEGAN + timedelta(minutes=19),)
    )
    task_of(database, advance).run_once()
    assert advance.seen[-1][1].folded_until == BEGAN + timedelta(minutes=3)


def test_the_first_heartbeat_and_one_after_a_silence_wake_the_gateways(database: Database, database_url: str) -> None:
    """They treat no session until they have read of it: the next poll may be seconds away, and another one for each."""
    with psycopg.connect(database_url, autocommit=True) as gateway:
        gateway.execute("LISTEN centralcloud_configuration")

        def heard(at: datetime) -> int:
            with database.transaction() as connection:
                beat(connection, at)
            return len(list(gateway.notifies(timeout=0.5, stop_after=2)))

        assert [heard(NOW), heard(NOW + timedelta(seconds=5)), heard(NOW + timedelta(minutes=2))] == [1, 0, 1]


def test_a_heartbeat_after_a_silence_says_how_long_it_was(database: Database) -> None:
    for seconds, silence in ((0, None), (30, None), (31, None), (100, 69.0), (110, 69.0)):
        now = BEGAN + timedelta(seconds=seconds)
        with database.transaction() as connection:
            found = beat(connection, now)
        assert (found.silent_for and found.silent_for.total_seconds()) == silence
    assert found.resumed_at == BEGAN + timedelta(seconds=100)


def test_sessions_of_an_ended_experiment_and_all_of_a_removed_one_are_forgotten(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, events_of(Asked(4 * 3600.0 - 700, session=1), Asked(1)))
    configure(database_url, an_experiment())
    advance = Advancing()
    counted = "SELECT (SELECT count(*) FROM experiment_sessions), (SELECT count(*) FROM experiment_results)"
    task_of(database, advance).run_once()
    assert execute(database_url, counted) == [(1, 6)]
    configure(database_url, an_experiment(status="stopped", share=0.0))
    task_of(database, advance).run_once()
    assert execute(database_url, counted) == [(0, 6)], "its results stay"
    configure(database_url, removed=("greeting",))
    task_of(database, advance).run_once()
    assert execute(database_url, counted) == [(0, 0)]
    assert len(advance.seen) == 1


def test_an_experiment_that_the_database_refuses_does_not_stop_the_others(
    database: Database, database_url: str
) -> None:
    configure(database_url, an_experiment(), replace(an_experiment(), id="second"))
    refuse = "ALTER TABLE experiment_progress ADD CONSTRAINT refused CHECK (experiment_id <> 'greeting')"
    execute(database_url, refuse)
    advance = Advancing()
    with pytest.raises(psycopg.errors.CheckViolation):
        task_of(database, advance).run_once()
    assert [each for each, _, _ in advance.seen] == ["second"]


def test_sessions_of_an_ended_experiment_are_deleted_a_part_at_a_time(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "_MOST_DELETED", 4)
    ingest(database, database_url, events_of(*(Asked(float(n), session=n) for n in range(10))))
    configure(database_url, an_experiment())
    advance = Advancing()
    looking = task_of(database, advance)
    looking.run_once()
    counted = "SELECT (SELECT count(*) FROM experiment_sessions), (SELECT count(*) FROM experiment_progress)"
    configure(database_url, removed=("greeting",))
    found = []
    while looking.run_once():
        found += execute(database_url, counted)
    assert [*found, *execute(database_url, counted)] == [(6, 1), (2, 1), (0, 0)]


def test_an_experiment_whose_records_cannot_be_counted_is_paused_and_the_others_go_on(
    database: Database, database_url: str
) -> None:
    configure(database_url, an_experiment(), replace(an_experiment(), id="second"))
    refuse = "ALTER TABLE experiment_progress ADD CONSTRAINT refused CHECK (experiment_id <> 'greeting')"
    execute(database_url, refuse)
    seconds = 0.0
    looking = ExperimentTask(database, advance=Advancing(), clock=lambda: NOW, seconds=lambda: seconds)
    statuses = (
        "SELECT string_agg(body -> 'stage' ->> 'status', ' ' ORDER BY experiment_id) "
        "FROM centralcloud.current_experiments()"
    )
    for each in (0.0, 100.0, 299.0):
        seconds = each
        with pytest.raises(psycopg.errors.CheckViolation):
            looking.run_once()
    assert execute(database_url, statuses) == [("running running",)]
    seconds = 301.0
    with pytest.raises(psycopg.errors.CheckViolation):
        looking.run_once()
    assert execute(database_url, statuses) == [("paused running",)]
    with database.transaction() as connection:
        (verdict,) = read_verdicts(connection)
    assert (verdict.verdict, verdict.facts["reason"]) == ("paused", UNFOLDED)
    assert "refused" in verdict.facts["error"]


def test_an_experiment_whose_stored_sessions_are_damaged_does_not_stop_the_others(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, events_of(*(Asked(at=each * 60.0, session=1) for each in range(3))))
    configure(database_url, an_experiment(), replace(an_experiment(), id="second"))
    within = timedelta(seconds=ExperimentPlan().outcome_within_seconds)
    rounds: list[None] = []
    advance, clock = Advancing(), BEGAN + within + timedelta(minutes=4)
    looking = ExperimentTask(database, advance=advance, clock=lambda: clock, after_round=lambda: rounds.append(None))
    looking.run_once()
    assert execute(database_url, "UPDATE experiment_sessions SET outcomes = '\\x00' RETURNING 1") == [(1,)]
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = %s", (NOW,))  # there was no silence
    advance.seen.clear()
    clock = NOW
    with pytest.raises(ValueError, match="buffer size"):
        looking.run_once()
    assert ([each[0] for each in advance.seen], len(rounds)) == (["second"], 2)


def test_an_experiment_that_this_version_cannot_read_keeps_its_evidence_and_stops_no_other(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ingest(database, database_url, events_of(Asked(1), Asked(2, "new")))
    newer, older = replace(an_experiment(), id="a-newer"), an_experiment()
    configure(database_url, newer, older)
    task_of(database, Advancing()).run_once()
    kept = execute(database_url, "SELECT * FROM experiment_progress WHERE experiment_id = 'a-newer'")
    assert len(kept) == 1
    execute(
        database_url,
        "UPDATE configuration_entries SET body = jsonb_set(body, '{kind}', '\"bandit\"') WHERE id = 'a-newer'",
    )
    advance, rounds = Advancing(), []
    looking = ExperimentTask(database, advance=advance, clock=lambda: NOW, after_round=lambda: rounds.append(None))
    looking.run_once()
    looking.run_once()
    assert [each for each, _, _ in advance.seen] == ["greeting"] * 2
    assert len(rounds) == 2
    assert execute(database_url, "SELECT * FROM experiment_progress WHERE experiment_id = 'a-newer'") == kept
    (line,) = [each.getMessage() for each in caplog.records if "experiment_unreadable" in each.getMessage()]
    assert "a-newer" in line
    assert "bandit" in line


def test_gateways_see_the_age_of_the_oldest_look_at_an_experiment_that_runs(
    database: Database, database_url: str
) -> None:
    """A fold that always fails must not look like one that is well because another experiment is."""
    age = "SELECT round((centralcloud.configuration_since(0) -> 'experiments_silent_seconds')::text::numeric / 60)::int"
    began = datetime.now(UTC) - timedelta(minutes=10)
    configure(database_url, an_experiment(began=began), replace(an_experiment(began=began), id="second"))
    assert execute(database_url, "SELECT centralcloud.configuration_since(0) -> 'experiments_silent_seconds'") == [
        (None,)
    ]
    refuse = "ALTER TABLE experiment_progress ADD CONSTRAINT refused CHECK (experiment_id <> 'greeting')"
    execute(database_url, refuse)
    looking = ExperimentTask(database, advance=Advancing())
    with pytest.raises(psycopg.errors.CheckViolation):
        looking.run_once()
    assert execute(database_url, age) == [(10,)], "the first one was never looked at"
    execute(database_url, "ALTER TABLE experiment_progress DROP CONSTRAINT refused")
    looking.run_once()
    assert execute(database_url, age) == [(0,)]
    execute(
        database_url,
        "UPDATE experiment_progress SET updated_at = now() - interval '3 minutes' WHERE experiment_id = 'second'",
    )
    assert execute(database_url, age) == [(3,)]
    configure(database_url, replace(an_experiment(began=began, status="paused", share=0.0), id="second"))
    assert execute(database_url, age) == [(0,)], "it treats no session"


def test_a_clock_that_jumps_an_hour_ahead_folds_nothing_too_early(database: Database, database_url: str) -> None:
    """Sessions that are open, and requests whose outcome may come, are not over; when the clock is back, folding goes on."""
    at, seconds = 1200.0, 0.0
    advance = Advancing()
    looking = ExperimentTask(
        database, advance=advance, clock=lambda: BEGAN + timedelta(seconds=at), seconds=lambda: seconds
    )
    configure(database_url, an_experiment(plan=ExperimentPlan(idle_seconds=1800.0)))
    ingest(database, database_url, events_of(Asked(10, session=1), Asked(1100, "new", session=2, success=None)))
    looking.run_once()
    at, seconds = 1205 + 3600, 5.0
    looking.run_once()
    assert advance.seen[-1][2] == BEGAN + timedelta(seconds=1205)
    assert execute(database_url, "SELECT count(*) FROM experiment_sessions WHERE has_ended") == [(0,)]
    assert advance.seen[-1][1].folded_until == BEGAN + timedelta(minutes=4)
    at, seconds = 1300.0, 100.0
    ingest(database, database_url, events_of(Asked(1250, session=1, number=9)))
    looking.run_once()
    assert advance.seen[-1][1].folded_until == BEGAN + timedelta(minutes=5)
    for at in (5000.0, 8000.0):
        seconds = at - 1200
        looking.run_once()
    facts = advance.seen[-1][1].facts[0]
    assert (facts.outcomes, facts.treated) == (3.0, 1.0)
