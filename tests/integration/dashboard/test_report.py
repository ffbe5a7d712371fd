"""`centralcloud report` on a real database."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.events import an_event, outcomes
from support.fleet import a_fleet
from support.maintenance import ingest, maintain
from support.operators import OPERATOR
from support.servers import execute
from typer.testing import CliRunner, Result

from centralcloud.cli.app import app
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Action, record_action
from centralcloud.store.slices import close_slice


@pytest.fixture(autouse=True)
def _environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TZ", "Europe/Berlin")


def report(*options: str) -> Result:
    return CliRunner().invoke(app, ["report", *options])


def some_traffic(database: Database, database_url: str, *, name: str = "gpt-4o") -> None:
    """Two models; one costs ten times the other and succeeds as often. Both were drawn with a known propensity."""
    events = [
        *outcomes(396, 4, selected_model=name, cost_usd=0.1, propensity=0.5),
        *outcomes(397, 3, selected_model="cheap", cost_usd=0.01, propensity=0.5),
        *outcomes(3, 0, selected_model="rare", cost_usd=0.01, propensity=0.01),
        *[an_event("silent-1", outcome="routed", selected_model=name) for _ in range(30)],
    ]
    ingest(database, database_url, events)
    maintain(database)
    close_slice(database)


def test_the_numbers_are_the_same_before_the_hour_is_rolled_up(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    found = report("--json").stdout
    execute(database_url, "TRUNCATE model_performance")
    execute(database_url, "UPDATE evidence_slices SET gathered_at = NULL")
    before = json.loads(report("--json").stdout)["totals"]
    assert before == json.loads(found)["totals"]


def publish(database_url: str, model: str, score: float, version: int, at: str) -> None:
    execute(
        database_url,
        "INSERT INTO model_score_history (version, model_name, complexity_level, new_score, reason, rule, based_on_samples, "
        "after_slice, through_slice, created_at) "
        "VALUES (%s, %s, 'complex', %s, 'x', 'threshold', 100, 0, 1, now() - %s::interval)",
        (version, model, score, at),
    )


@pytest.mark.parametrize("options", [(), ("--html", "-")])
def test_an_empty_database_is_one_sentence_and_no_error(options: tuple[str, ...]) -> None:
    result = report(*options)
    assert result.exit_code == 0
    assert "No decision has arrived yet: there is nothing to report." in result.stdout
    if not options:
        assert len(result.stdout.splitlines()) == 1
    assert json.loads(report("--json").stdout)["first_hour"] is None


def test_a_time_without_decisions_is_said(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    result = report("--since", "2025-01-01T00:00+01:00", "--until", "2025-01-08T00:00+01:00")
    assert result.stdout == "No decision arrived from 01 Jan 00:00 to 08 Jan 00:00.\n"


def test_the_numbers_are_those_of_the_records(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    found = json.loads(report("--json").stdout)
    assert found["totals"] == {
        "decisions": 833, "successes": 796, "failures": 7, "cost_nano_usd": 44_030_000_000, "unknown": 0,
    }  # fmt: skip
    assert found["before"] is None
    text = report().stdout
    assert text.splitlines()[0].endswith(", times in Europe/Berlin")
    assert "833 decisions; 99.1% of 803 outcomes succeeded." in text
    assert "$44.03 were spent; a success cost 5.5¢." in text
    assert "There is no comparison with the time before, " in text
    assert ": the records begin at " in " ".join(text.split())


def test_the_time_before_is_named_by_its_ends(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    execute(
        database_url,
        "INSERT INTO model_performance (window_start, window_end, model_name, complexity_level, provider, instance_id, "
        "total_requests, successful_requests, failed_requests, blameless_requests, total_cost, total_tokens) "
        "SELECT at, at + interval '1 hour', 'm', 'complex', 'p', 'i', 100, 90, 10, 0, 0, 0 "
        "FROM (SELECT date_bin('1 hour', now() - interval '1 hour' * hours, '2000-01-01') AS at "
        "FROM generate_series(30, 60) AS hours) AS hours",
    )
    # The hour in which the 24 hours began is taken as a whole, so that the time is longer: a rounded length would confuse.
    text = " ".join(report("--since", "24h").stdout.split())
    assert re.search(r"Against the time before, \d\d \w{3} \d\d:\d\d to \d\d \w{3} \d\d:00: decisions [+−]", text)
    assert "hours before" not in text


def test_a_leader_without_a_single_one_before_it_is_told_in_full(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    publish(database_url, "cheap", 4.0, 1, "1 minute")
    text = " ".join(report().stdout.split())
    assert "Complex tasks: cheap now has the highest score; at the start of the time no model had a score." in text
    assert "1 pair of a model and a complexity got its first score." in text
    publish(database_url, "cheap", 4.0, 2, "8 days")
    publish(database_url, "gpt-4o", 4.0, 3, "8 days")
    publish(database_url, "gpt-4o", 4.0, 4, "1 minute")
    publish(database_url, "cheap", 4.5, 5, "1 minute")
    text = " ".join(report().stdout.split())
    assert "cheap now has the highest score; at the start of the time 2 models shared it." in text
    execute(database_url, "UPDATE model_score_history SET new_score = 4.5 WHERE version = 2")
    publish(database_url, "gpt-4o", 4.5, 6, "1 second")
    text = " ".join(report().stdout.split())
    assert "2 models now share the highest score; at the start of the time cheap had it." in text


def test_the_recommendations_follow_from_the_rows(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    publish(database_url, "idle", 3.0, 1, "1 hour")
    publish(database_url, "gone", 5.0, 2, "1 hour")
    execute(database_url, "INSERT INTO retired_models VALUES ('gone')")
    texts = [each["text"] for each in json.loads(report("--json").stdout)["recommendations"]]
    assert texts[0].startswith("cheap succeeds as often as gpt-4o on complex tasks, and a success costs 1¢ and not 10¢")
    assert texts[1].startswith("silent-1 has sent 30 decisions and no outcome")
    assert texts[2].startswith("idle was never chosen")
    assert texts[3].startswith(
        "1 pair had fewer than 100 outcomes, so its success rate is known only roughly: rare/complex"
    )
    assert len(texts) == 4


def test_the_worth_of_learning_is_an_estimate_or_has_a_reason(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    assert "the log cannot tell: no score was published before this time" in report().stdout
    publish(database_url, "cheap", 4.0, 1, "8 days")
    publish(database_url, "gpt-4o", 3.0, 2, "8 days")
    publish(database_url, "gpt-4o", 4.5, 3, "1 minute")
    (worth,) = json.loads(report("--json").stdout)["learning"]["worth"]
    assert (worth["leader"], worth["outcomes"], worth["unknown"]) == ("cheap", 803, None)
    assert worth["rate_before"] == pytest.approx(397 / 400)
    assert worth["gained"] == pytest.approx(796 - 803 * 0.9925)
    assert worth["low"] < worth["gained"] < worth["high"]
    text = report().stdout
    assert "gpt-4o now has the highest score; at the start of the time cheap had it." in " ".join(text.split())
    assert "1 published change of scores: versions 3 to 3." in text
    execute(database_url, "UPDATE routing_records SET propensity = NULL")
    assert "the log cannot tell: only 0.0% of the outcomes have a propensity" in " ".join(report().stdout.split())


def test_an_incident_costs_the_successes_that_came_less_than_before(database: Database, database_url: str) -> None:
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for hours_ago, successes, failures in ((6, 95, 5), (5, 95, 5), (3, 60, 40), (2, 70, 30)):
        execute(
            database_url,
            "INSERT INTO model_performance (window_start, window_end, model_name, complexity_level, provider, instance_id, "
            "total_requests, successful_requests, failed_requests, blameless_requests, total_cost, total_tokens) "
            "VALUES (%s, %s, 'm', 'complex', 'p', 'i', 100, %s, %s, 0, 0, 0)",
            (this_hour - timedelta(hours=hours_ago), this_hour - timedelta(hours=hours_ago - 1), successes, failures),
        )
    opened, closed = this_hour - timedelta(hours=2.5), this_hour - timedelta(hours=1.5)
    execute(
        database_url,
        "INSERT INTO findings (kind, subject, message, details, opened_at, closed_at) VALUES "
        "('low_success_rate', 'm/complex', 'x', '{\"model\": \"m\", \"complexity\": \"complex\"}', %s, %s), "
        "('queue', 'queue', 'x', '{}', %s, NULL)",
        (opened, closed, opened),
    )
    found = json.loads(report("--json").stdout)["incidents"]
    assert [(each["subject"], each["lost"], each["unknown"]) for each in found] == [
        ("m/complex", 60, None),
        ("queue", None, "the finding is not about a model"),
    ]
    text = report().stdout
    assert "Low success rate" in text
    assert "Incidents, those that cost most first" in text
    execute(database_url, "DELETE FROM findings WHERE kind = 'low_success_rate'")
    assert "Incidents, newest first" in report().stdout


def test_budgets_and_actions_of_operators_are_told(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    execute(
        database_url,
        "INSERT INTO spend_periods (meter, period_start, period_end, unit, limit_amount, spent) VALUES "
        "('budget/team', now() - interval '1 day', now() + interval '1 day', 'nano_usd', 2000000000, 1500000000), "
        "('rate/team', now() - interval '1 day', now() + interval '1 day', 'requests', 10, 10)",
    )
    with database.transaction() as connection:
        record_action(connection, replace(OPERATOR, reason="too slow"), Action.PIN, "gpt-4o/complex")
    text = report().stdout
    assert "1 budget period, 0 used up." in text
    assert re.search(r"budget/team +\d\d \w+ \d\d:\d\d +\$2.00 +\$1.50 +75.0%", text)
    assert "rate/team" not in text
    assert re.search(r"pin gpt-4o/complex: too slow\.", text)


def test_the_text_is_aligned_and_100_columns_wide(database: Database, database_url: str) -> None:
    some_traffic(database, database_url, name="m" * 180)
    lines = report().stdout.splitlines()
    assert max(map(len, lines)) <= 100


def test_amounts_stand_below_each_other(database: Database, database_url: str) -> None:
    some_traffic(database, database_url)
    rows = [line for line in report().stdout.splitlines() if line.startswith(("Complexity ", "complex "))]
    assert len(rows) == 4
    assert len({len(line) for line in rows}) == 1


def test_the_page_is_one_small_file_that_loads_nothing(database: Database, database_url: str, tmp_path: Path) -> None:
    some_traffic(database, database_url, name="<script>alert(1)</script>")
    page = tmp_path / "review.html"
    result = report("--html", str(page))
    assert (result.exit_code, result.stdout) == (0, "")
    text = page.read_text()
    assert len(text) < 200_000
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"\b(src|href)=|@import|url\(", text)
    assert text.count('<figure class="chart') == 2
    assert "@media print" in text


def test_a_page_that_cannot_be_written_is_one_line(database: Database, database_url: str, tmp_path: Path) -> None:
    result = report("--html", str(tmp_path / "no" / "review.html"))
    assert result.exit_code != 0
    assert "cannot write" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--since", "banana"), "--since: found 'banana', expected a time"),
        (("--since", "2100-01-01"), "--since: found '2100-01-01', expected a time in the past"),
        (("--since", "1d", "--until", "2d"), "after --until"),
        (("--html", "x", "--json"), "found --html and --json"),
    ],
)
def test_bad_options_are_one_line(options: tuple[str, ...], message: str) -> None:
    result = report(*options)
    assert result.exit_code != 0
    assert message in str(result.exception)


def test_the_role_of_the_dashboard_is_enough(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_fleet(server) as fleet:
        with Database(fleet.owner, application_name="tests") as database:
            some_traffic(database, fleet.owner)
        monkeypatch.setenv("DATABASE_URL", fleet.dashboard)
        result = report()
        assert result.exception is None
        assert "833 decisions" in result.stdout
