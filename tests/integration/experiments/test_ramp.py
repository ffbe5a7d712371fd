"""The ramp in the database: versions of the configuration by the daemon, verdicts, and an operator who is quicker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from support.experiments import GOOD, NO_EVIDENCE, SAFE, WORSE, an_experiment, at, log_of, shown
from support.fleet import Fleet, a_fleet
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.experiments import change
from centralcloud.contracts.canary import Facts
from centralcloud.contracts.experiment_changes import paused
from centralcloud.contracts.fleet_configuration import CONFIGURATION_CHANNEL, Experiment, put
from centralcloud.experiments.ramp import advance_experiment
from centralcloud.runtime.configuration.experiments import read_experiments
from centralcloud.runtime.configuration.writing import Author, change_configuration
from centralcloud.runtime.postgres.database import Database


@dataclass
class Evidence:
    """The evidence about an experiment."""

    facts: Sequence[Facts]
    has_older_sessions: bool = False
    sample_ratio_alarm: bool = False


def configured(database: Database, experiment: Experiment) -> Experiment:
    author = Author(who="tester", via="cli", source="here")
    change_configuration(database, author, lambda _: [put(experiment)], is_known=lambda _: True)
    return experiment


def current(database: Database) -> Experiment:
    with database.transaction() as connection:
        (found,) = read_experiments(connection)
    return found.experiment


def advance(
    database: Database, experiment: Experiment, seconds: float, *facts: Facts, **more: bool
) -> Experiment | None:
    with database.transaction() as connection:
        return advance_experiment(connection, experiment, Evidence(facts, **more), at(seconds))


def verdicts(url: str) -> list[tuple[Any, ...]]:
    return execute(url, "SELECT verdict, treatment, facts ->> 'reason' FROM experiment_verdicts ORDER BY id")


def test_a_canary_goes_its_way_with_the_rights_of_the_daemon(server: str) -> None:
    with a_fleet(server) as fleet, Database(fleet.admin, application_name="tests") as owner:
        begun = configured(owner, an_experiment())
        with Database(fleet.worker, application_name="tests") as daemon, listening(fleet) as heard:
            first = advance(daemon, begun, 600, SAFE, has_older_sessions=True)
            assert first is not None
            assert shown(first.stage) == ("running", 1, 0.05, 0.01)
            assert current(daemon) == first
            assert any(each.channel == CONFIGURATION_CHANNEL for each in heard.notifies(timeout=5, stop_after=1))
            assert advance(daemon, first, 700, SAFE, has_older_sessions=True) is None
            second = advance(daemon, first, 800, SAFE)
            assert second is not None
            assert shown(second.stage) == ("running", 1, 0.05, None)
            last = configured(owner, replace(second, stage=replace(second.stage, step=3, share=0.5)))
            held = advance(daemon, last, 9000, GOOD)
            assert held is not None
            assert (shown(held.stage), held.stage.winner) == (("running", 4, 0.95, 0.5), "b")
            settled = advance(daemon, held, 9100, NO_EVIDENCE)
            assert settled is not None
            promoted = advance(daemon, settled, 9100 + 86_400, NO_EVIDENCE)
            assert promoted is not None
            assert (promoted.stage.status, promoted.stage.winner) == ("promoted", "b")
            assert advance(daemon, promoted, 1e6, WORSE) is None
        assert verdicts(fleet.admin) == [
            ("step", 0, "the next share is within the harm budget"),
            ("promoted", 0, "better"),
            ("confirmed", 0, "no guard was reached in the hold"),
        ]


def test_a_roll_back_in_the_hold_is_a_verdict_of_its_own_beside_the_promotion(
    database: Database, database_url: str
) -> None:
    last = configured(database, an_experiment(stage={"step": 3, "share": 0.5, "retries": 1}))
    held = advance(database, last, 9000, GOOD)
    assert held is not None
    fallen = advance(database, held, 9010, WORSE, has_older_sessions=True)
    assert fallen is not None
    assert (fallen.stage.status, fallen.stage.winner) == ("rolledBack", None)
    assert verdicts(database_url) == [("promoted", 0, "better"), ("rolledBack", 0, "fewer successes")]


def listening(fleet: Fleet) -> "psycopg.Connection[Any]":
    connection = psycopg.connect(fleet.admin, autocommit=True)
    connection.execute(f"LISTEN {CONFIGURATION_CHANNEL}")
    return connection


def test_each_change_is_a_version_a_row_in_the_log_and_a_verdict(database: Database, database_url: str) -> None:
    begun = configured(database, an_experiment())
    halted = advance(database, begun, 700, WORSE)
    assert halted is not None
    again = advance(database, halted, 1600, NO_EVIDENCE)
    assert again is not None
    settled = advance(database, again, 1700, NO_EVIDENCE)
    assert settled is not None
    assert advance(database, settled, 1800, WORSE) is not None
    log = execute(
        database_url, "SELECT who, via, subject, reason FROM operator_actions WHERE via = 'daemon' ORDER BY id"
    )
    assert {row[0].partition(" as ")[0] for row in log} == {"centralcloud"}
    assert {row[2] for row in log} == {f"experiment/{begun.id}"}
    assert [row[3] for row in log] == [
        "paused: fewer successes",
        "begins again with 1.0% of the sessions",
        "1.0% of the sessions: no session from before the step is open",
        "rolled back: fewer successes",
    ]
    assert verdicts(database_url) == [
        ("paused", 0, "fewer successes"),
        ("retry", 0, "tried again"),
        ("rolledBack", 0, "fewer successes"),
    ]
    ((evidence,),) = execute(
        database_url, "SELECT facts #>> '{evidence,worse}' FROM experiment_verdicts WHERE verdict = 'rolledBack'"
    )
    assert float(evidence) == pytest.approx(log_of(200))
    versions = execute(database_url, "SELECT count(*) FROM configuration_versions")
    assert versions == [(5,)]


def test_an_operator_who_changed_it_meanwhile_wins(database: Database, database_url: str) -> None:
    begun = configured(database, an_experiment())
    change(database, begun.id, paused, OPERATOR)
    assert advance(database, begun, 700, SAFE) is None, "the evidence is for an earlier stage"
    held = current(database)
    assert (held.stage.status, held.stage.by_hand) == ("paused", True)
    assert verdicts(database_url) == []
    assert advance(database, held, 9e5, WORSE, sample_ratio_alarm=True) is None, "it is paused until it is resumed"
    execute(database_url, "SELECT centralcloud.write_configuration(config_version, %s::jsonb, 'x', 'cli', 'x') FROM "
            "configuration_state", (f'[{{"kind": "experiment", "id": "{begun.id}", "body": null}}]',))  # fmt: skip
    assert advance(database, held, 9e5, SAFE) is None, "it was removed"


def test_a_change_between_reading_and_writing_leaves_the_folds_transaction_alive(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's change is committed after the ramp has read the entry: the function refuses the older version."""
    from centralcloud.experiments import ramp

    begun = configured(database, an_experiment())
    read = ramp.read_usable_experiments

    def slow(connection: "psycopg.Connection[Any]") -> Any:
        found = read(connection)
        change(database, begun.id, paused, OPERATOR)
        return found

    monkeypatch.setattr(ramp, "read_usable_experiments", slow)
    with database.transaction() as connection:
        connection.execute("CREATE TEMPORARY TABLE folded ON COMMIT DROP AS SELECT 1 AS one")
        assert advance_experiment(connection, begun, Evidence([SAFE]), at(600)) is None
        assert connection.execute("SELECT count(*) FROM folded").fetchone() == (1,)
    assert current(database).stage.status == "paused"
    assert verdicts(database_url) == []


def test_a_verdict_of_an_ab_test_is_kept_once_and_its_stage_stays(database: Database, database_url: str) -> None:
    test = configured(database, an_experiment(kind="ab", treatments=[{"model": "b"}, {"model": "c"}]))
    better = NO_EVIDENCE._replace(wins=(log_of(80), 0.0, 0.0), within_time=None, slower=float("-inf"))
    for seconds in (10, 20, 30):
        assert advance(database, test, seconds, NO_EVIDENCE, better) is None
    assert verdicts(database_url) == [("better", 1, "started")]
    stopped = advance(database, test, 40, NO_EVIDENCE, better, sample_ratio_alarm=True)
    assert stopped is not None
    assert verdicts(database_url)[1:] == [("stopped", None, "the split of sessions is not the planned one")]
