"""Logins of instances: each acts for the instances that it is listed for, and loses its rights at once."""

import json
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.fleet import Fleet, a_fleet
from support.grants import SPEAKING, a_login, event, queued, refusal
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.grants import (
    Login,
    apply_login,
    apply_revocation,
    apply_roles,
    login_group,
)
from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings, InstanceAgent


def test_a_login_acts_for_its_own_instance_only(fleet: Fleet) -> None:
    login = a_login(fleet, "node-1")
    publish, batch = "SELECT centralcloud.publish_decision(%s)", "SELECT centralcloud.publish_decisions(%s::jsonb[])"
    acknowledge = "SELECT centralcloud.acknowledge(%s, 0)"
    execute(login, publish, (event(),))
    execute(login, batch, ([event(), event()],))
    execute(login, acknowledge, ("node-1",))
    execute(login, batch, ([],))
    only = f'expected "node-1": the login {fleet.roles.instance}_node-1 speaks for no other instance'
    assert refusal(login, publish, (event("node-2"),)) == f'instance_id: found "node-2", {only}'
    assert refusal(login, publish, (json.dumps({"no": "event"}),)) == f"instance_id: found nothing, {only}"
    assert refusal(login, publish, (None,)) == f"instance_id: found nothing, {only}"
    assert refusal(login, acknowledge, ("node-2",)) == f'instance_id: found "node-2", {only}'
    mixed = [event(), event("node-3\nnode-4"), event("node-2")]
    assert refusal(login, batch, (mixed,)) == rf'events[1].instance_id: found "node-3\nnode-4", {only}'
    assert refusal(login, batch, ([event(), None],)) == f"events[1].instance_id: found nothing, {only}"
    assert queued(fleet) == ["node-1"] * 3, "no refused event was queued"
    assert execute(fleet.admin, "SELECT instance_id FROM instances") == [("node-1",)]
    execute(fleet.instance, publish, (event("node-2"),))  # not listed: may act for any instance
    with psycopg.connect(login) as connection:
        connection.execute(f"SET ROLE {login_group(fleet.roles.instance)}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="speaks for no other"):
            connection.execute(publish, (event("node-2"),))


def test_a_login_cannot_become_a_role_that_may_act_for_any_instance(fleet: Fleet) -> None:
    """A member of a role can set its password, log in as it, change its settings, and end its sessions."""
    login, role = a_login(fleet, "node-1"), fleet.roles.instance
    assert "denied" in refusal(login, f'SET ROLE "{role}"')
    with psycopg.connect(fleet.instance) as other:
        assert refusal(login, f"SELECT pg_terminate_backend({other.info.backend_pid})")
    with psycopg.connect(a_login(fleet, "node-2")) as other:
        assert refusal(login, f"SELECT pg_terminate_backend({other.info.backend_pid})")
    # The only role that it can become cannot log in, with any password.
    group = login_group(role)
    with psycopg.connect(login) as connection:
        connection.execute(f'SET ROLE "{group}"; ALTER ROLE "{group}" PASSWORD \'fleet\'')
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(fleet.url(group))


def test_an_older_login_is_created_again_without_the_role_of_instances(fleet: Fleet) -> None:
    """Older logins are members of that role. Revoking one, or creating it again, ends the membership."""
    role, instance_role = f"{fleet.roles.instance}_node-1", fleet.roles.instance
    login = Login(role, "node-1", instance_role)
    mark = "made by centralcloud grants --instance"
    execute(fleet.owner, f'CREATE ROLE "{role}" LOGIN; COMMENT ON ROLE "{role}" IS \'{mark}\'')
    execute(fleet.owner, "INSERT INTO instance_logins VALUES (%s, 'node-1')", (role,))
    execute(fleet.owner, f'GRANT "{instance_role}" TO "{role}"')
    fleet.let_in(role)
    with Database(fleet.owner, application_name="tests") as database:
        assert apply_login(database, login, OPERATOR).warnings == []
        assert "denied" in refusal(fleet.url(role), f'SET ROLE "{instance_role}"')
        execute(fleet.url(role), "SELECT centralcloud.publish_decision(%s)", (event(),))
        execute(fleet.owner, f'GRANT "{instance_role}" TO "{role}"')
        assert apply_revocation(database, login, OPERATOR) == (True, False), "the role is gone"
        a_login(fleet, "node-1")
        execute(fleet.admin, f'GRANT "{instance_role}" TO "{role}"')  # by another role, which alone can revoke it
        warnings = apply_login(database, login, OPERATOR).warnings
    if execute(fleet.admin, "SELECT pg_has_role(%s, %s, 'MEMBER')", (role, instance_role)) == [(True,)]:
        assert warnings == [f"the role {role} may become the role {instance_role}, and set its password"]


def test_rights_of_logins_are_renewed_with_the_others(fleet: Fleet) -> None:
    url = a_login(fleet, "node-1")
    execute(fleet.owner, f"REVOKE USAGE ON SCHEMA centralcloud FROM {login_group(fleet.roles.instance)}")
    statement, parameters = SPEAKING[0]
    assert refusal(url, statement, parameters)
    with Database(fleet.owner, application_name="tests") as database:
        apply_roles(database, fleet.roles, OPERATOR)
    execute(url, statement, parameters)


def test_a_login_may_act_for_several_instances(fleet: Fleet) -> None:
    login = a_login(fleet, "node-1")
    role = f"{fleet.roles.instance}_node-1"
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-2", "--login", role]
    env = {"DATABASE_URL": fleet.owner}
    assert run_command("centralcloud", *options, env=env).returncode == 0
    for name in ("node-1", "node-2"):
        execute(login, "SELECT centralcloud.publish_decision(%s)", (event(name),))
    assert 'expected "node-1" or "node-2"' in refusal(
        login, "SELECT centralcloud.publish_decision(%s)", (event("node-3"),)
    )
    assert "stays" in run_command("centralcloud", *options, "--revoke", env=env).stdout
    assert refusal(login, "SELECT centralcloud.publish_decision(%s)", (event("node-2"),))
    execute(login, "SELECT centralcloud.publish_decision(%s)", (event("node-1"),))


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM instance_logins",  # restored from a backup that is older than the login
        'ALTER ROLE "{role}" RENAME TO "{role}_renamed"',
    ],
)
def test_a_login_that_is_not_listed_acts_for_no_instance(fleet: Fleet, loss: str) -> None:
    """The server, and not the database, stores that the login is for single instances."""
    url = a_login(fleet, "node-1")
    role = f"{fleet.roles.instance}_node-1"
    execute(fleet.admin, loss.format(role=role))
    if "RENAME" in loss:
        role = f"{role}_renamed"
        fleet.let_in(role)
        url = fleet.url(role)
    for statement, parameters in SPEAKING:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            execute(url, statement, parameters)
        expected = f'found "node-1", expected none: the login {role} is listed for no instance here'
        assert expected in str(refused.value.diag.message_primary)
        assert "centralcloud grants --instance ID --apply" in str(refused.value.diag.message_hint)
    assert queued(fleet) == []
    assert execute(url, "SELECT count(*) FROM centralcloud.current_scores()") == [(0,)], "reading is not publishing"
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f'COMMENT ON ROLE "{role}" IS NULL')
    with Database(fleet.owner, application_name="tests") as database:
        apply_login(database, Login(role, "node-1", fleet.roles.instance), OPERATOR)
    for statement, parameters in SPEAKING[::2]:
        execute(url, statement, parameters)


def test_a_login_acts_for_no_instance_in_another_database_of_the_server(fleet: Fleet, server: str) -> None:
    """This holds even if logins of other instances have rights there through the same group."""
    role = f"{fleet.roles.instance}_node-1"
    a_login(fleet, "node-1")
    with a_fleet(server) as other:
        with Database(other.admin, application_name="tests") as database:
            apply_login(database, Login(f"{fleet.roles.instance}_node-2", "node-2", fleet.roles.instance), OPERATOR)
        for statement, parameters in SPEAKING:
            assert refusal(other.url(role), statement, parameters)
        assert queued(other) == []
        assert execute(other.url(role), "SELECT count(*) FROM centralcloud.current_scores()") == [(0,)]
        execute(other.admin, f"DROP OWNED BY {login_group(fleet.roles.instance)}")


def an_agent(url: str, instance_id: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceAgent:
    (folder / "catalog.yaml").write_text("models: [{name: gpt-4o, provider: p, complexity_scores: {complex: 3.0}}]")
    monkeypatch.setenv("INSTANCE_ID", instance_id)
    return InstanceAgent(
        AgentSettings(
            database_url=url,
            catalog=folder / "catalog.yaml",
            state_dir=folder / "state",
            poll_interval_seconds=0.2,
            reconcile_interval_seconds=0.2,
        )
    )


def test_the_agent_works_under_a_login_of_its_own(
    fleet: Fleet, start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closed loop works without the owner: decisions are published, and the score is applied and acknowledged."""
    start(
        "centralcloud", "run", DATABASE_URL=fleet.worker, CENTRALCLOUD_LEARN_INTERVAL_SECONDS="0.3",
        CENTRALCLOUD_POLL_INTERVAL_SECONDS="0.1",
    ).wait_for("started")  # fmt: skip
    with an_agent(a_login(fleet, "node-1"), "node-1", tmp_path, monkeypatch) as agent:
        for _ in range(100):
            decision = agent.router.route("complex")
            agent.router.report_outcome(decision, success=True, response_time_ms=100)
        applied = "SELECT instance_id FROM instances WHERE applied_version > 0"
        eventually(lambda: execute(fleet.admin, applied) == [("node-1",)], what="the acknowledgement")
        assert agent.router.route("complex").score > 3.0
        assert not agent.updater.database.unavailable
    assert execute(fleet.admin, "SELECT DISTINCT instance_id FROM routing_records") == [("node-1",)]


def test_an_agent_with_the_wrong_instance_id_logs_it_and_routes_on(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with an_agent(a_login(fleet, "node-1"), "node-2", tmp_path, monkeypatch) as agent:
        agent.router.route("complex")
        eventually(lambda: "speaks for no other instance" in caplog.text)
        assert agent.router.route("complex").model.name == "gpt-4o"
    assert queued(fleet) == []


NASTY = ["O'Brien", 'quo"ted', "$do$", "a {brace} %s %(x)s", "ü" * 60, "semi; DROP TABLE evidence; --", "\\' E'", "A b"]


@pytest.mark.parametrize("instance_id", NASTY)
def test_an_id_is_never_read_as_sql(shared_fleet: Fleet, instance_id: str) -> None:
    options = ["grants", "--instance-role", shared_fleet.roles.instance, "--instance", instance_id]
    script = run_command("centralcloud", *options, env={}).stdout
    with psycopg.connect(shared_fleet.owner, autocommit=True) as connection:
        connection.execute(script)
    listed = "SELECT role_name FROM instance_logins WHERE instance_id = %s"
    ((role,),) = execute(shared_fleet.admin, listed, (instance_id,))
    shared_fleet.let_in(role)
    execute(shared_fleet.url(role), "SELECT centralcloud.publish_decision(%s)", (event(instance_id),))
    assert refusal(shared_fleet.url(role), "SELECT centralcloud.publish_decision(%s)", (event("node-1"),))
    result = run_command("centralcloud", *options, "--revoke", "--apply", env={"DATABASE_URL": shared_fleet.owner})
    assert (result.returncode, result.stderr) == (0, "")
    assert "was dropped" in result.stdout
    assert execute(shared_fleet.admin, listed, (instance_id,)) == []


def test_a_revoked_login_loses_its_rights_at_once(fleet: Fleet) -> None:
    url = a_login(fleet, "node-1")
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1", "--revoke"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT centralcloud.publish_decision(%s)", (event(),))
        result = run_command("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
        assert (result.returncode, result.stderr) == (0, "")
        assert "was dropped" in result.stdout
        again = run_command("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr == f"centralcloud: node-1 has no login {fleet.roles.instance}_node-1: nothing was revoked\n"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT centralcloud.publish_decision(%s)", (event("node-2"),))
    assert execute(fleet.admin, "SELECT count(*) FROM instance_logins") == [(0,)]
    assert queued(fleet) == ["node-1"]
    logged = execute(fleet.admin, "SELECT subject, after FROM operator_actions WHERE action = 'revoke_login'")
    assert logged == [("node-1", {"role": "dropped"})], "a login that does not exist is not logged as dropped"


def test_a_login_that_could_still_publish_stays_listed(fleet: Fleet) -> None:
    """If it were no longer listed, it might act for any instance: the revocation is refused as a whole."""
    url = a_login(fleet, "node-1")
    role = f"{fleet.roles.instance}_node-1"
    execute(fleet.admin, f'GRANT {fleet.roles.worker} TO "{role}"')
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1", "--revoke"]
    result = run_command("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "can still publish" in line
    assert refusal(url, "SELECT centralcloud.publish_decision(%s)", (event("node-2"),))


def test_an_existing_role_is_not_dropped(fleet: Fleet) -> None:
    role = f"{fleet.name}_router"
    execute(fleet.admin, f"CREATE ROLE {role} LOGIN")
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1", "--login", role]
    env = {"DATABASE_URL": fleet.admin}
    made = run_command("centralcloud", *options, env=env)
    assert made.returncode == 0
    (warning,) = made.stderr.strip().splitlines()
    assert warning.startswith(f"warning: the role {role} existed before")
    fleet.let_in(role)
    execute(fleet.admin, f"COMMENT ON ROLE {role} IS 'a router; its instances: centralcloud grants --instance'")
    assert run_command("centralcloud", *options, env=env).stderr == "", "told"
    execute(fleet.url(role), "SELECT centralcloud.publish_decision(%s)", (event(),))
    execute(fleet.admin, "DELETE FROM instance_logins")
    assert "expected none" in refusal(fleet.url(role), "SELECT centralcloud.publish_decision(%s)", (event(),))
    result = run_command("centralcloud", *options, "--revoke", env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert execute(fleet.admin, "SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)) == [(1,)]
    assert refusal(fleet.url(role), "SELECT centralcloud.publish_decision(%s)", (event(),))


def test_below_revision_0005_unlisted_logins_may_act_for_any_instance_again(fleet: Fleet) -> None:
    from centralcloud.store.schema import downgrade, migrate

    url = a_login(fleet, "node-1")
    statement, parameters = SPEAKING[1]
    with Database(fleet.owner, application_name="tests") as database:
        downgrade(database, "0004")
        assert "speaks for no other instance" in refusal(url, statement, parameters)
        execute(fleet.admin, "DELETE FROM instance_logins")
        execute(url, statement, parameters)
        migrate(database)
    assert refusal(url, statement, parameters)


def test_below_revision_0004_logins_may_act_for_any_instance_again(fleet: Fleet) -> None:
    """A downgrade leaves nothing behind, and the roles still work."""
    from centralcloud.store.schema import downgrade, migrate

    url = a_login(fleet, "node-1")
    with Database(fleet.owner, application_name="tests") as database:
        downgrade(database, "0003")
        execute(url, "SELECT centralcloud.publish_decision(%s)", (event("node-2"),))
        execute(url, "SELECT centralcloud.publish_decisions(%s::jsonb[])", ([event("node-2")],))
        execute(url, "SELECT centralcloud.acknowledge('node-2', 0)")
        migrate(database)
    assert queued(fleet) == ["node-2"] * 2
