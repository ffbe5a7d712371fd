"""`instance-agent doctor`: settings, login and files of an instance."""

import json
from pathlib import Path

import psycopg
from support.commands import run_command
from support.events import outcomes, send
from support.fleet import a_fleet
from support.servers import execute

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.diagnostics import CheckResult, Verdict
from centralcloud.runtime.postgres.database import Database
from instance_agent.doctor import _Doctor
from instance_agent.settings import AgentSettings, GatewaySettings


def test_the_doctor_of_an_instance_uses_its_settings(database: Database, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("models: [{name: other, provider: p}]")
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=100)
    Learner(database, [ThresholdRule()]).learn()
    env = {
        "DATABASE_URL": database_url,
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
        "INSTANCE_AGENT_CATALOG": str(tmp_path / "catalog.yaml"),
    }
    result = run_command("instance-agent", "doctor", "--json", env=env)
    assert result.returncode == 0, result.stdout
    checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["functions"]["verdict"] == "OK"
    assert checks["newest version"]["found"] == "applied 0, published 1"
    assert "none of the catalog's models" in checks["scores"]["found"]
    env["INSTANCE_AGENT_CATALOG"] = str(tmp_path / "nowhere.yaml")
    result = run_command("instance-agent", "doctor", env=env)
    assert result.returncode == 1
    assert "FAIL  catalog: cannot read the catalog" in result.stdout


def test_an_instance_with_the_login_of_another_and_a_damaged_file_is_reported(
    database_url: str, tmp_path: Path
) -> None:
    """Neither is noticed otherwise: the scores arrive, and an unreadable file counts as a missing one."""
    (tmp_path / "learned_scores.json").write_text("{broken")
    role = "cc_instance_node-1"
    grants = ("centralcloud", "grants", "--instance", "node-1", "--instance-role", "cc_instance", "--apply")
    try:
        assert run_command(*grants, env={"DATABASE_URL": database_url}).returncode == 0
        execute(database_url, f"ALTER ROLE \"{role}\" PASSWORD 'n'")
        env = {
            "DATABASE_URL": psycopg.conninfo.make_conninfo(database_url, user=role, password="n"),
            "INSTANCE_AGENT_STATE_DIR": str(tmp_path),
            "INSTANCE_ID": "node-2",
        }
        result = run_command("instance-agent", "doctor", env=env)
        assert 'FAIL  login: wrong_instance: instance_id: found "node-2", expected "node-1"' in result.stdout
        assert "learned_scores.json is damaged" in result.stdout
        assert result.returncode == 1
        result = run_command("instance-agent", "doctor", env={**env, "INSTANCE_ID": "node-1"})
        assert "OK    login: speaks for node-1" in result.stdout
        assert execute(database_url, "SELECT count(*) FROM instances") == [(0,)], "the test call was rolled back"
    finally:
        execute(database_url, f'DROP OWNED BY "{role}", cc_instances; DROP ROLE "{role}", cc_instances')


def test_a_sidecar_needs_no_privilege_to_publish(database_url: str, tmp_path: Path) -> None:
    """docs/how-to/deploy-with-systemd.md grants it none."""
    execute(
        database_url,
        """
        CREATE ROLE cc_sidecar LOGIN PASSWORD 's';
        GRANT USAGE ON SCHEMA centralcloud TO cc_sidecar;
        GRANT EXECUTE ON FUNCTION centralcloud.score_updates_since, centralcloud.current_scores, centralcloud.acknowledge,
            centralcloud.epoch TO cc_sidecar
        """,
    )
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user="cc_sidecar", password="s")
        env = {"DATABASE_URL": url, "INSTANCE_AGENT_STATE_DIR": str(tmp_path)}
        result = run_command("instance-agent", "doctor", env=env)
        assert result.returncode == 0, result.stdout
        assert "WARN  functions: not allowed: centralcloud.publish_decisions" in result.stdout
        execute(database_url, "REVOKE EXECUTE ON FUNCTION centralcloud.acknowledge FROM cc_sidecar")
        assert "FAIL  functions: not allowed: " in run_command("instance-agent", "doctor", env=env).stdout
    finally:
        execute(database_url, "DROP OWNED BY cc_sidecar; DROP ROLE cc_sidecar")


#: Every function that a role was granted itself.
_GRANTED = """
    SELECT p.oid::regprocedure::text, p.oid::regproc::text
    FROM pg_proc p CROSS JOIN LATERAL aclexplode(proacl) AS acl WHERE acl.grantee = %s::regrole ORDER BY 1
"""
#: Called by nothing that reports a lack of it: an instance that leaves, and the form that routers without the library use.
_NOT_CALLED = {"centralcloud.leave", "centralcloud.publish_decision"}


def test_every_function_of_a_gateway_that_is_revoked_is_named(server: str, tmp_path: Path) -> None:
    with a_fleet(server) as fleet, Database(fleet.gateway, application_name="tests") as database:
        settings = {"database_url": fleet.gateway, "state_dir": tmp_path}
        sidecar, gateway = (_Doctor(kind(**settings), database) for kind in (AgentSettings, GatewaySettings))

        def found() -> list[CheckResult]:
            return [check for check in (gateway._functions(), gateway._gateway_functions()) if check.verdict != "OK"]

        assert found() == []
        granted = execute(fleet.admin, _GRANTED, (fleet.roles.gateway,))
        for signature, name in granted:
            execute(fleet.admin, f"REVOKE EXECUTE ON FUNCTION {signature} FROM {fleet.roles.gateway}")
            assert [name in each.found for each in found()] == ([] if name in _NOT_CALLED else [True]), name
            assert all("centralcloud grants" in each.advice for each in found())
            execute(fleet.admin, f"GRANT EXECUTE ON FUNCTION {signature} TO {fleet.roles.gateway}")
        assert len(granted) > 20

        revoked = "centralcloud.task_classifier_in_use, centralcloud.current_task_scores"
        execute(fleet.admin, f"REVOKE EXECUTE ON FUNCTION {revoked} FROM {fleet.roles.gateway}")
        assert [each.verdict for each in found()] == [Verdict.WARN, Verdict.FAIL]
        assert sidecar._gateway_functions().verdict == Verdict.WARN, "it has a part of the rights of a gateway"
        with Database(fleet.instance, application_name="tests") as other:
            assert _Doctor(AgentSettings(**settings), other)._gateway_functions().verdict == Verdict.OK
