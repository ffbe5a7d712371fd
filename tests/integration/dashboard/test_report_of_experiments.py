"""The experiments of `centralcloud report`."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.events import outcomes
from support.known_experiments import BETTER, WORSE_KNOWN, begun, configure, store_known, store_verdicts
from support.maintenance import ingest, maintain
from typer.testing import CliRunner, Result

from centralcloud.cli.app import app
from centralcloud.runtime.postgres.database import Database


def report(*options: str) -> Result:
    found = CliRunner().invoke(app, ["report", *options])
    assert found.exit_code == 0, found.output
    return found


def test_each_experiment_of_the_time_is_a_sentence_and_others_are_left_out(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    ingest(database, database_url, outcomes(40, 4))
    maintain(database)
    running = begun(3, name="try gpt-x", treatments=[{"model": "gpt-x"}], stage={"step": 1, "share": 0.05})
    ended = begun(
        30, name="a dud", treatments=[{"model": "dud"}], stage={"status": "rolledBack", "reason": "fewer successes"}
    )
    long_ago = begun(1000, name="of old", treatments=[{"model": "old"}], stage={"status": "stopped", "by_hand": True})
    configure(database_url, running, ended, long_ago)
    store_known(database_url, running, BETTER)
    store_known(database_url, ended, WORSE_KNOWN)
    gone = begun(60, name="gone", treatments=[{"model": "gone"}])
    store_verdicts(database_url, gone, (0, "promoted", now - timedelta(hours=9), {"reason": "better"}))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TZ", "UTC")
    text = " ".join(report().stdout.split())
    assert "Did experiments find a difference?" in text
    assert "try gpt-x (canary) runs with 5% of the sessions, since" in text
    assert (
        "gpt-x is better than control by 1.2 to 3.4 points of success (95%; 18,240 outcomes in 4,560 sessions); this "
        "holds however often you look; about 202 requests fewer failed than at control." in text
    )
    assert "a dud (canary) was rolled back: fewer successes, since" in text
    assert "dud is worse than control by 8.0 to 40.0 points of success" in text
    assert "about 11 requests failed for it." in text
    assert f"{gone.id} (experiment) was promoted: better, and was removed since" in text
    assert "of old" not in text
    assert "Did experiments find a difference?" in report("--html", "-").stdout
    found = {each["name"]: each for each in json.loads(report("--json").stdout)["experiments"]}
    assert found["a dud"]["treatments"][0]["extra_failures"] == 11
    past = json.loads(report("--json", "--since", "50d", "--until", "30d").stdout)["experiments"]
    assert [each["name"] for each in past] == ["of old"]


def test_a_report_without_experiments_has_no_section(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    ingest(database, database_url, outcomes(40, 4))
    maintain(database)
    assert "experiments" not in report().stdout
