"""`instance-agent doctor` on the configuration: readable, stored, and with keys that clients can use."""

import json
from datetime import timedelta
from pathlib import Path

from support.experiment_entries import parsed
from support.fleet import a_fleet
from support.registry import AUTHOR, a_model, an_endpoint, write
from support.servers import execute

from centralcloud.contracts.fleet_configuration import put
from centralcloud.runtime.configuration.keys import create_key, revoke_key, rotate_key
from centralcloud.runtime.diagnostics import NamedCheckResult, Verdict
from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings
from instance_agent.doctor import examine
from instance_agent.sync.configuration_file import ConfigurationFile
from instance_agent.sync.configuration_updater import ConfigurationUpdater


def results(database: Database, folder: Path) -> dict[str, NamedCheckResult]:
    settings = AgentSettings(instance_id="i-1", state_dir=folder)
    return {result.check: result for result in examine(settings, database)}


def test_a_configuration_with_keys_and_a_file_is_ok(database: Database, tmp_path: Path) -> None:
    write(database, a_model(), an_endpoint())
    create_key(database, AUTHOR, role="admin", label="me")
    ConfigurationUpdater(database, file=ConfigurationFile(tmp_path)).run_once()
    found = results(database, tmp_path)
    assert (
        found["configuration"].found == "version 2: 1 model, 1 endpoint, 1 key, 0 policies, 0 rules, 0 health reports"
    )
    assert found["configuration file"].found.startswith("version 2 of ")
    assert found["keys"].found == "1 valid key of 1"
    assert {found[name].verdict for name in ("configuration", "configuration file", "keys")} == {Verdict.OK}


def test_an_instance_that_is_not_a_gateway_needs_none_of_it(database: Database, tmp_path: Path) -> None:
    found = results(database, tmp_path)
    assert (
        found["configuration"].found
        == "version 0: 0 models, 0 endpoints, 0 keys, 0 policies, 0 rules, 0 health reports"
    )
    assert found["configuration file"].verdict == found["keys"].verdict == Verdict.OK


def test_a_login_without_the_right_is_ok_for_a_sidecar(server: str, tmp_path: Path) -> None:
    with a_fleet(server) as fleet:
        with Database(fleet.instance, application_name="tests") as sidecar:
            found = results(sidecar, tmp_path)
        assert (found["configuration"].verdict, found["keys"].verdict) == (Verdict.OK, Verdict.OK)
        assert "may not read it, and a sidecar does not need it" in found["configuration"].found
        with Database(fleet.gateway, application_name="tests") as gateway:
            found = results(gateway, tmp_path)
        assert found["configuration"].found.startswith("version 1: 0 models, 0 endpoints, 0 keys, 4 policies")
        assert not [each for each in found.values() if each.verdict == Verdict.FAIL]


def test_a_configuration_that_this_version_cannot_read_fails_with_the_path(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    write(database, a_model())
    ConfigurationUpdater(database, file=ConfigurationFile(tmp_path)).run_once()
    newer = json.dumps([{"kind": "topic", "id": "r", "body": {}}])
    execute(database_url, "SELECT centralcloud.write_configuration(1, %s, 'a', 'api', 'b')", (newer,))
    found = results(database, tmp_path)
    assert found["configuration"].verdict == Verdict.FAIL
    assert 'this version cannot read version 2: topic["r"]: found entries of this kind' in found["configuration"].found
    assert found["configuration file"].found.startswith("version 1 of ")


def test_a_damaged_file_and_an_old_version_of_it_are_warnings(database: Database, tmp_path: Path) -> None:
    write(database, a_model())
    ConfigurationUpdater(database, file=ConfigurationFile(tmp_path)).run_once()
    write(database, a_model("gpt-5"))
    found = results(database, tmp_path)["configuration file"]
    assert (found.verdict, "the database has version 2" in found.found) == (Verdict.WARN, True)
    (tmp_path / "fleet_configuration.json").write_text("{")
    found = results(database, tmp_path)["configuration file"]
    assert (found.verdict, "is damaged and is ignored" in found.found) == (Verdict.WARN, True)


def test_keys_that_expire_soon_are_a_warning_and_no_valid_one_a_failure(database: Database, tmp_path: Path) -> None:
    soon = create_key(database, AUTHOR, role="user", label="app", valid_for=timedelta(days=3)).key
    found = results(database, tmp_path)["keys"]
    assert (found.verdict, found.found) == (
        Verdict.WARN,
        f"1 key will expire within 7 days: {soon.id} (app)",
    )
    rotated = rotate_key(database, AUTHOR, soon.id).key
    revoke_key(database, AUTHOR, rotated.id)
    revoke_key(database, AUTHOR, soon.id)
    found = results(database, tmp_path)["keys"]
    assert (found.verdict, found.found) == (Verdict.FAIL, "none of 2 keys is valid: every request is refused")


def test_experiments_that_run_without_a_daemon_fail(database: Database, database_url: str, tmp_path: Path) -> None:
    assert results(database, tmp_path)["experiments"].found == "none runs"
    write(database, a_model("new"), put(parsed()))
    found = results(database, tmp_path)["experiments"]
    assert found.verdict == Verdict.FAIL
    assert found.found.endswith("1 experiment of 1 runs, and no treatment of an experiment serves a request: "
                                "the daemon was never seen")  # fmt: skip
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '20 minutes'")
    assert results(database, tmp_path)["experiments"].found.endswith("the daemon was last seen 20 minutes ago")
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '30 seconds'")
    found = results(database, tmp_path)["experiments"]
    assert (found.verdict, found.found) == (
        Verdict.OK,
        "1 experiment of 1 runs; the daemon was last seen 30 seconds ago",
    )
