"""Findings open when a problem is detected, describe it in numbers, and close when it no longer exists."""

import json

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.history import pretend_all_came
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.models import reinstate_model, retire_model
from centralcloud.ingest.drain import drain
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.finding_detector import (
    _WEIGH_FINDINGS,
    FindingDetector,
    FindingMetrics,
    list_findings,
)
from centralcloud.monitoring.finding_rules import FindingThresholds
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.findings import Finding, replace_findings
from centralcloud.store.slices import close_slice


def ingest(database: Database, url: str, events: list[dict]) -> None:
    send(url, events)
    drain(database, batch_size=1000)
    close_slice(database)


def move_two_hours_back(url: str) -> None:
    """Pretend that everything ingested so far arrived two hours ago."""
    execute(
        url,
        """
        UPDATE evidence_slices SET opened_at = opened_at - interval '2 hours', closed_at = closed_at - interval '2 hours'
        WHERE closed_at > now() - interval '1 hour'
        """,
    )


def detect(database: Database, **thresholds: float) -> dict[str, dict]:
    """Run the detector once; return the open findings by kind and subject."""
    FindingDetector(database, thresholds=FindingThresholds(**thresholds)).run_once()  # type: ignore[arg-type]
    return open_findings(database)


def open_findings(database: Database) -> dict[str, dict]:
    with database.transaction() as connection:
        return {f"{row['kind']} {row['subject']}": row for row in list_findings(connection)}


def test_a_low_success_rate_is_found_and_closes_when_it_is_good_again(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(80, 20))
    (found,) = detect(database).values()
    assert (found["kind"], found["subject"]) == ("low_success_rate", "gpt-4o/complex")
    assert found["message"] == (
        "80 of 100 outcomes of gpt-4o for complex tasks succeeded in the last 24 hours (80.0%): expected at least 85.0%"
    )
    assert found["details"] == {
        "model": "gpt-4o", "complexity": "complex", "successes": 80, "outcomes": 100, "success_rate": 0.8,
    }  # fmt: skip
    (seen_again,) = detect(database).values()
    assert seen_again["opened_at"] == found["opened_at"]
    assert seen_again["seen_at"] > found["seen_at"]
    ingest(database, database_url, outcomes(100, 0))
    assert detect(database) == {}
    with database.transaction() as connection:
        (closed,) = list_findings(connection, with_closed=True)
    assert closed["closed_at"] is not None


@pytest.mark.parametrize(
    ("case", "events", "thresholds"),
    [
        ("just enough", outcomes(85, 15), {}),
        ("too few outcomes", outcomes(0, 29), {}),
        ("another threshold", outcomes(80, 20), {"success_rate": 0.8}),
        ("blameless failures", outcomes(85, 0) + outcomes(0, 90, error_kind="policy", time_ms=9000), {}),
        ("not slower than the threshold", outcomes(100, 0, time_ms=5000), {}),
        ("slow, but few", outcomes(29, 0, time_ms=9000) + outcomes(80, 0, time_ms=None), {}),
        ("chosen, and resolved once", [an_event() for _ in range(50)] + outcomes(100, 0), {}),
    ],
)
def test_a_healthy_fleet_has_no_findings(
    database: Database, database_url: str, case: str, events: list[dict], thresholds: dict
) -> None:
    ingest(database, database_url, events)
    assert detect(database, newcomer_outcomes=0, **thresholds) == {}, case


def test_a_slow_model_is_found(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(100, 0, time_ms=5001))
    (found,) = detect(database).values()
    assert found["message"] == (
        "gpt-4o took 5,001 ms on average for complex tasks in the last 24 hours (100 outcomes): expected at most 5,000 ms"
    )
    assert detect(database, slow_response_ms=6000) == {}


def test_only_the_newest_24_hours_count(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(0, 100, time_ms=9000))
    pretend_all_came(database_url, 10)
    assert detect(database) == {}


def test_a_model_is_a_newcomer_until_it_has_enough_outcomes(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(60, 0) + outcomes(39, 0, complexity="simple"))
    (found,) = detect(database).values()
    assert (found["kind"], found["subject"], found["details"]["outcomes"]) == ("newcomer", "gpt-4o", 99)
    ingest(database, database_url, outcomes(1, 0))
    assert detect(database) == {}


def test_a_pair_without_outcomes_is_found(database: Database, database_url: str) -> None:
    ingest(database, database_url, [an_event() for _ in range(19)])
    assert "no_outcomes gpt-4o/complex" not in detect(database)
    ingest(database, database_url, [an_event()])
    found = detect(database)["no_outcomes gpt-4o/complex"]
    assert found["message"] == (
        "gpt-4o was chosen for 20 complex tasks, and no outcome was received: expected at least one after 20"
    )
    ingest(database, database_url, outcomes(0, 1, error_kind="caller"))
    assert "no_outcomes gpt-4o/complex" not in detect(database), "outcomes are reported"


def test_lost_outcomes_are_found_as_a_rate(database: Database, database_url: str) -> None:
    def decisions(first: int, last: int, outcome: str) -> list[dict]:
        return [an_event(decision_id=str(n), outcome=outcome, response_time_ms=5) for n in range(first, last)]

    ingest(database, database_url, [*decisions(0, 40, "routed"), *decisions(0, 31, "success"), *outcomes(100, 0)])
    (found,) = detect(database).values()
    assert (found["kind"], found["subject"]) == ("unresolved", "gpt-4o/complex")
    assert found["details"] == {
        "model": "gpt-4o", "complexity": "complex", "decisions": 40, "unresolved": 9, "unresolved_rate": 0.225,
    }  # fmt: skip
    assert "9 of 40 decisions for gpt-4o (complex) have no outcome (22.5%)" in found["message"]
    ingest(database, database_url, decisions(31, 32, "failure"))
    assert detect(database) == {}, "at the threshold"


def test_a_surge_of_a_providers_failures_is_found_over_all_its_models(database: Database, database_url: str) -> None:
    def events(successes: int, failures: int, provider: str) -> list[dict]:
        return [
            event
            for model in ("x", "y")
            for event in outcomes(successes, failures, selected_model=model, selected_provider=provider)
        ]

    ingest(database, database_url, events(190, 10, "bad") + events(190, 10, "good"))
    move_two_hours_back(database_url)
    ingest(database, database_url, events(15, 10, "bad") + events(24, 1, "good") + events(0, 9, "new"))
    found = {subject: row for subject, row in detect(database).items() if row["kind"] == "provider_surge"}
    assert found.keys() == {"provider_surge bad"}
    details = found["provider_surge bad"]["details"]
    assert details.pop("log_likelihood_ratio") > 10
    assert details == {
        "provider": "bad", "failures": 20, "outcomes": 50, "failures_before": 20, "outcomes_before": 400,
    }  # fmt: skip
    assert (
        "20 of 50 outcomes of provider bad failed in the last hour (40.0%), 20 of 400"
        in (found["provider_surge bad"]["message"])
    )
    move_two_hours_back(database_url)
    ingest(database, database_url, events(20, 5, "bad"))
    assert "provider_surge bad" not in detect(database), "the rate is no longer new"


def test_a_small_rise_or_one_that_chance_explains_is_not_a_surge(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(950, 50))
    move_two_hours_back(database_url)
    ingest(database, database_url, outcomes(8, 2))
    assert detect(database) == {}
    ingest(database, database_url, outcomes(992, 148))
    assert detect(database) == {}, "significant, but 8 points"
    assert "provider_surge github_models" in detect(database, surge_rise=0.05)


def test_retired_models_are_left_out(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(0, 50, time_ms=9000) + [an_event(complexity="simple") for _ in range(50)])
    assert {row["kind"] for row in detect(database).values()} == {"low_success_rate", "slow", "newcomer", "no_outcomes"}
    retire_model(database, "gpt-4o", OPERATOR)
    assert detect(database) == {}
    reinstate_model(database, "gpt-4o", OPERATOR)
    assert len(detect(database)) == 4


def test_the_detector_leaves_the_findings_of_the_learner_alone(database: Database) -> None:
    with database.transaction() as connection:
        replace_findings(connection, ["change_alarm"], [Finding("change_alarm", "a/simple", "fell", {})])
    assert detect(database).keys() == {"change_alarm a/simple"}


def test_one_replica_at_a_time_detects_and_counts(database: Database, database_url: str) -> None:
    registry = CollectorRegistry()
    detector = FindingDetector(database, metrics=FindingMetrics(registry))

    def counted() -> dict[str, float]:
        (number, traffic_share) = registry.collect()
        assert [each.labels for each in number.samples] == [each.labels for each in traffic_share.samples]
        return {sample.labels["kind"]: sample.value for sample in number.samples}

    ingest(database, database_url, outcomes(0, 50))
    with database.transaction() as connection:
        replace_findings(connection, ["change_alarm"], [Finding("change_alarm", "a/simple", "fell", {"model": "a"})])
    detector.run_once()
    assert {kind: number for kind, number in counted().items() if number} == {
        "low_success_rate": 1, "newcomer": 1, "change_alarm": 1,
    }  # fmt: skip
    assert counted()["slow"] == 0
    assert b'centralcloud_findings_open{kind="newcomer"} 1.0' in generate_latest(registry)
    assert b'centralcloud_findings_traffic_share{kind="low_success_rate"} 1.0' in generate_latest(registry)
    assert b'centralcloud_findings_traffic_share{kind="change_alarm"} 0.0' in generate_latest(registry)
    with database.transaction() as connection:
        replace_findings(connection, ["change_alarm"], [])
    detector.run_once()
    assert counted()["change_alarm"] == 0
    elsewhere = "UPDATE leases SET holder = 'another host', expires_at = now() + %s::interval WHERE name = 'findings'"
    execute(database_url, elsewhere, ("1 minute",))
    detector.run_once()
    assert counted() == {}, "the other replica shows them"
    execute(database_url, elsewhere, ("-1 second",))
    detector.run_once()
    assert counted()["newcomer"] == 1


def test_the_command_shows_open_and_closed_findings(database: Database, database_url: str) -> None:
    def command(*arguments: str, code: int = 0) -> str:
        result = run_command("centralcloud", "findings", *arguments, env={"DATABASE_URL": database_url})
        assert result.returncode == code, result.stderr
        return result.stdout if code == 0 else result.stderr

    assert command() == "no open findings\n"
    assert command("--all") == "no findings\n"
    ingest(database, database_url, outcomes(80, 20, time_ms=9000))
    detect(database)
    ingest(database, database_url, outcomes(20, 0, selected_model="new"))
    detect(database, success_rate=0)
    assert [row["kind"] for row in json.loads(command("--json"))] == ["slow", "newcomer"]
    everything = json.loads(command("--all", "--json"))
    assert {(row["kind"], row["closed_at"] is None) for row in everything} == {
        ("newcomer", True), ("slow", True), ("low_success_rate", False),
    }  # fmt: skip
    assert [row["kind"] for row in everything] == ["slow", "newcomer", "low_success_rate"], "the most traffic first"
    assert [row["traffic_share"] for row in everything] == [pytest.approx(100 / 120), pytest.approx(20 / 120), 1.0]
    assert everything[0].keys() == {
        "finding_id", "kind", "subject", "message", "details", "traffic_share", "opened_at", "seen_at", "closed_at",
    }  # fmt: skip
    assert [row["kind"] for row in json.loads(command("--all", "--kind", "slow", "--json"))] == ["slow"]
    assert "gpt-4o took 9,000 ms on average" in command()
    assert [line.split()[:2] for line in command().splitlines()] == [
        ["traffic", "kind"], ["83.3%", "slow"], ["16.7%", "newcomer"],
    ]  # fmt: skip
    complaint = command("--kind", "nonsense", code=2)
    assert "--kind: found 'nonsense', expected one of change_alarm" in complaint
    assert complaint.count("\n") == 1


def test_each_finding_has_its_share_of_the_traffic_and_the_largest_comes_first(
    database: Database, database_url: str
) -> None:
    """Decisions with an outcome count once; those of a sender that reports outcomes only count, too."""
    linked = [{"decision_id": f"d{number}"} for number in range(60)]
    ingest(
        database,
        database_url,
        [an_event("a", **each) for each in linked] + [an_event("a", outcome="success", **each) for each in linked],
    )
    ingest(database, database_url, outcomes(20, 0, instance_id="b", complexity="simple"))
    ingest(database, database_url, outcomes(15, 0, selected_model="other", selected_provider="mistral"))
    ingest(database, database_url, outcomes(0, 5, instance_id="c", selected_model="other", error_kind="policy"))
    execute(
        database_url,
        "INSERT INTO learning_runs (rule, through_slice, started_at, pairs_evaluated, pairs_changed, samples) "
        "VALUES ('adaptive', 1, now(), 0, 0, 0)",
    )
    pair = {"model": "gpt-4o", "complexity": "simple"}
    findings = [
        Finding("change_alarm", "gpt-4o/simple", "fell", pair),
        Finding("publication_withheld", "adaptive", "too far", {}),
        Finding("publication_withheld", "threshold", "in the shadow", {}),
        Finding("quarantined_instance", "c", "differs", {}),
    ]
    with database.transaction() as connection:
        replace_findings(connection, ["change_alarm", "publication_withheld", "quarantined_instance"], findings)
    assert [row["traffic_share"] for row in open_findings(database).values()] == [None] * 4, "not weighed yet"
    FindingDetector(database, thresholds=FindingThresholds(newcomer_outcomes=50)).run_once()
    assert {name: row["traffic_share"] for name, row in open_findings(database).items()} == {
        "publication_withheld adaptive": 1.0,
        "change_alarm gpt-4o/simple": 0.2,
        "newcomer other": 0.2,
        "quarantined_instance c": 0.05,
        "publication_withheld threshold": 0.0,
    }
    with database.transaction() as connection:
        replace_findings(connection, [], [Finding("provider_surge", "mistral", "fails", {"provider": "mistral"})])
        _WEIGH_FINDINGS.run(connection)
    assert open_findings(database)["provider_surge mistral"]["traffic_share"] == 0.15


def test_closed_findings_are_deleted_after_their_retention(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        INSERT INTO findings (kind, subject, message, opened_at, closed_at)
        SELECT 'slow', n::text, 'm', now() - interval '200 days', now() - n * interval '60 days'
        FROM generate_series(1, 3) AS n;
        INSERT INTO findings (kind, subject, message, opened_at) VALUES ('slow', 'open', 'm', now() - interval '200 days')
        """,
    )
    Maintenance(database, retention=Retention(findings_days=90)).run_once()
    assert execute(database_url, "SELECT subject FROM findings ORDER BY subject") == [("1",), ("open",)]
