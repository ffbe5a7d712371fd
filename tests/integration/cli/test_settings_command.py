"""`centralcloud settings`: it shows and changes settings, and refuses a wrong one in one line."""

import json

import pytest
from support.commands import run_command
from support.servers import execute


def run(url: str, *arguments: str, code: int = 0, **env: str) -> str:
    result = run_command("centralcloud", "settings", *arguments, env={"DATABASE_URL": url, **env})
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if code == 0 else result.stderr.strip()


def shown(url: str, name: str, **env: str) -> dict:
    (row,) = [each for each in json.loads(run(url, "show", "--json", **env))["settings"] if each["name"] == name]
    return row


def test_a_setting_is_shown_with_its_default_and_who_changed_it(database_url: str) -> None:
    before = shown(database_url, "rule")
    assert (before["value"], before["stored"], before["changed_by"]) == ("threshold", False, None)
    assert "the first daemon stores that of its environment" in run(database_url, "show")
    done = run(database_url, "set", "rule", "adaptive", "--reason", "a trial", SUDO_USER="alice")
    assert done == "rule: not stored -> adaptive; every replica uses it from its next run of the learner on\n"
    after = shown(database_url, "rule")
    assert (after["value"], after["default"], after["stored"]) == ("adaptive", "threshold", True)
    assert after["changed_by"].startswith("alice as ")
    assert after["changed_at"] is not None
    table = run(database_url, "show")
    assert "alice as " in table
    assert "threshold.low_success_rate" in table


def test_a_different_value_of_the_environment_is_marked(database_url: str) -> None:
    run(database_url, "set", "rule", "adaptive")
    assert shown(database_url, "rule", CENTRALCLOUD_RULE="threshold")["environment"] == "threshold"
    assert shown(database_url, "rule", CENTRALCLOUD_RULE="adaptive")["environment"] is None
    assert shown(database_url, "rule")["environment"] is None
    assert "CENTRALCLOUD_RULE=threshold, not used" in run(database_url, "show", CENTRALCLOUD_RULE="threshold")


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        (
            "retention.records_days",
            ["30"],
            "not stored -> 30; every replica uses it from its next round of maintenance on",
        ),
        (
            "finding.success_rate",
            ["0.5"],
            "not stored -> 0.5; every replica uses it from its next search for findings on",
        ),
        ("threshold.low_success_rate", ["0.8", "none"], "0.8 -> none; every replica uses it from its next run"),
        ("threshold.success_step", ["0.3"], "not stored -> 0.3"),
    ],
)
def test_settings_set_prints_the_change_and_when_it_takes_effect(
    database_url: str, name: str, values: list[str], line: str
) -> None:
    for value in values:
        done = run(database_url, "set", name, value)
    assert done.startswith(f"{name}: {line}")
    assert run(database_url, "set", name, values[-1]) == f"{name} is {values[-1]} already\n"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("rule", "bandit", "rule is 'bandit': expected one of adaptive, threshold"),
        ("safety.moved_share", "7", "safety.moved_share is '7': expected at most 1"),
        ("retention.records_days", "long", "retention.records_days is 'long': expected a whole number"),
        ("retention.records_days", "none", "retention.records_days is 'none': expected a whole number"),
        (
            "threshold.low_success_rate", "0.99",
            "threshold.low_success_rate is '0.99': expected at most 0.95, the value of success_rate",
        ),
        (
            "retention.record_days", "3",
            "NAME: found 'retention.record_days', expected a name that `centralcloud settings show` lists; "
            "is retention.records_days meant?",
        ),
        ("moon", "3", "NAME: found 'moon', expected a name that `centralcloud settings show` lists"),
        ("CENTRALCLOUD_RETENTION_RECORDS_DAYS", "3", "NAME: found 'CENTRALCLOUD_RETENTION_RECORDS_DAYS', expected 'ret"),
        (
            "batch_size", "3",
            "batch_size is not a fleet setting: each process has its own, by the environment variable "
            "CENTRALCLOUD_BATCH_SIZE",
        ),
        ("CENTRALCLOUD_HTTP_PORT", "3", "http_port is not a fleet setting: each process has its own"),
        ("rule", "\udcff", "VALUE: found a byte that is not UTF-8, expected text"),
    ],
)  # fmt: skip
def test_a_refused_setting_is_one_line_and_nothing_is_written(
    database_url: str, name: str, value: str, line: str
) -> None:
    refused = run(database_url, "set", name, value, code=2)
    assert refused.startswith(f"centralcloud: {line}")
    assert "\n" not in refused
    assert execute(database_url, "SELECT count(*) FROM fleet_settings") == [(0,)]
    assert execute(database_url, "SELECT count(*) FROM operator_actions") == [(0,)]


def test_a_wrong_value_written_by_sql_is_reported_and_can_be_replaced(database_url: str) -> None:
    execute(database_url, "INSERT INTO fleet_settings VALUES ('safety.moved_share', '7'), ('moon', '3')")
    reported = run(database_url, "show", code=1)
    assert reported.startswith("fleet_settings: safety.moved_share is '7': expected at most 1")
    result = run_command("centralcloud", "doctor", "--json", env={"DATABASE_URL": database_url})
    (check,) = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "fleet settings"]
    assert check["verdict"] == "FAIL"
    assert "safety.moved_share is '7'" in check["found"]
    for command in ("learn", "run"):
        refused = run_command("centralcloud", command, env={"DATABASE_URL": database_url})
        assert refused.returncode == 2
        assert "safety.moved_share is '7'" in refused.stderr.splitlines()[-1]
    refused = run(database_url, "set", "rule", "adaptive", code=2)
    assert "safety.moved_share is '7'" in refused, "the settings are checked as a whole"
    assert run(database_url, "set", "safety.moved_share", "0.7").startswith("safety.moved_share: 7 -> 0.7")
    assert "moon is ignored: this version does not know it" in run(database_url, "show")


def test_doctor_warns_of_variables_that_differ_from_the_database(database_url: str) -> None:
    run(database_url, "set", "rule", "adaptive")

    def check(**env: str) -> dict:
        result = run_command("centralcloud", "doctor", "--json", env={"DATABASE_URL": database_url, **env})
        (found,) = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "fleet settings"]
        return found

    assert check()["verdict"] == "OK"
    differing = check(CENTRALCLOUD_RULE="threshold")
    assert differing["verdict"] == "WARN"
    assert "CENTRALCLOUD_RULE is threshold, the database has rule = adaptive" in differing["found"]
    assert "centralcloud settings set" in differing["advice"]
