"""Least-privilege roles: each role may do its own work, and everything else is refused."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.fleet import Fleet, a_fleet
from support.history import pretend_all_came
from support.operators import OPERATOR
from support.repository import REPOSITORY
from support.servers import execute
from support.terminals import TerminalProgram
from support.waiting import eventually

from centralcloud.administration.grants import (
    Login,
    Roles,
    apply_login,
    apply_revocation,
    apply_roles,
    login_group,
    login_script,
    roles_script,
)
from centralcloud.cli.grants import grants
from centralcloud.contracts import SettingsError
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice
from centralcloud.store.tables import metadata
from instance_agent import AgentSettings, InstanceAgent


@pytest.fixture
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


@pytest.fixture
def bare(server: str) -> Iterator[Fleet]:
    """Create a database without its roles."""
    with a_fleet(server, granted=False) as fleet:
        yield fleet


def event(instance_id: str = "node-1") -> str:
    return json.dumps(an_event(instance_id))


SPEAKING = (
    ("SELECT centralcloud.publish_decision(%s)", (event(),)),
    ("SELECT centralcloud.publish_decisions(%s::jsonb[])", ([event(), event("node-2")],)),
    ("SELECT centralcloud.acknowledge(%s, 0)", ("node-1",)),
)


def queued(fleet: Fleet) -> list[str]:
    rows = execute(fleet.admin, "SELECT message ->> 'instance_id' FROM pgmq.q_model_routing_decisions ORDER BY msg_id")
    return [name for (name,) in rows]


def refusal(url: str, statement: str, parameters: object = None) -> str:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        execute(url, statement, parameters)
    return str(refused.value.diag.message_primary)


def a_login(fleet: Fleet, instance_id: str) -> str:
    """Return the URL of a login that may act for this instance alone."""
    login = Login(f"{fleet.roles.instance}_{instance_id}", instance_id, fleet.roles.instance)
    with Database(fleet.owner, application_name="tests") as database:
        apply_login(database, login, OPERATOR)
    fleet.let_in(login.name)
    return fleet.url(login.name)


def learn_something(fleet: Fleet) -> None:
    send(fleet.worker, outcomes(100, 0, complexity_score=3.0))
    for command in ("drain", "learn"):
        assert run_command("centralcloud", command, env={"DATABASE_URL": fleet.worker}).returncode == 0


def test_an_instance_publishes_reads_scores_and_acknowledges(fleet: Fleet) -> None:
    learn_something(fleet)
    assert execute(fleet.instance, "SELECT centralcloud.publish_decision(%s)", (event(),))
    assert execute(fleet.instance, "SELECT centralcloud.publish_decisions(%s::jsonb[], true)", ([event("node-2")],))
    assert queued(fleet) == ["node-1", "node-2"]
    assert execute(fleet.instance, "SELECT score::text FROM centralcloud.current_scores()") == [("3.300",)]
    assert len(execute(fleet.instance, "SELECT * FROM centralcloud.score_updates_since(0)")) == 1
    execute(fleet.instance, "SELECT centralcloud.acknowledge('node-1', 1), centralcloud.epoch()")
    assert execute(fleet.admin, "SELECT instance_id, applied_version FROM instances") == [("node-1", 1)]


@pytest.mark.parametrize(
    "forbidden",
    [
        *[f"SELECT count(*) FROM {table}" for table in metadata.tables],
        "SELECT * FROM dashboard_success_rates",
        "SELECT * FROM centralcloud.schema_revision",
        "UPDATE model_scores SET score = 5",
        "DELETE FROM model_score_history",
        "INSERT INTO model_routing_metrics (model_name, complexity_level) VALUES ('m', 'simple')",
        "INSERT INTO score_pins (model_name, complexity_level, score) VALUES ('m', 'simple', 5)",
        "INSERT INTO instance_logins VALUES (session_user, 'node-2')",
        "SELECT nextval('model_score_version')",
        "SELECT * FROM pgmq.q_model_routing_decisions",
        "SELECT * FROM pgmq.q_model_score_updates",
        "UPDATE pgmq.q_model_score_updates SET message = '{}'",
        "DELETE FROM pgmq.q_model_score_updates",
        "SELECT pgmq.pop('model_routing_decisions', 1)",
        "SELECT pgmq.read('model_score_updates', 30, 1)",
        "SELECT pgmq.send('model_score_updates', '{}')",
        "SELECT pgmq.send('model_routing_decisions', '{}')",
        "SELECT pgmq.purge_queue('model_routing_decisions')",
        "SELECT pgmq.create('mine')",
        "CREATE TABLE mine (n int)",
        "CREATE TABLE centralcloud.mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE FUNCTION public.hashtext(unknown) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SELECT centralcloud.ensure_partitions(1)",
        "SELECT centralcloud.drop_expired_partition('0 days')",
        "SELECT centralcloud.own_instances()",
        "SELECT centralcloud.refuse_instance('a', 'b', '{c}')",
        "ALTER FUNCTION centralcloud.epoch() RENAME TO mine",
        "LOCK TABLE routing_records IN ACCESS SHARE MODE",
    ],
)
def test_every_other_statement_of_an_instance_is_refused(shared_fleet: Fleet, forbidden: str) -> None:
    assert "denied" in refusal(shared_fleet.instance, forbidden) or "must be owner" in refusal(
        shared_fleet.instance, forbidden
    )


@pytest.fixture(scope="module")
def shared_fleet(server: str) -> Iterator[Fleet]:
    """One fleet for all tests of refusals."""
    with a_fleet(server) as fleet:
        yield fleet


def test_the_daemon_works_as_a_worker(fleet: Fleet, start) -> None:
    """It ingests, publishes a score and drops an expired partition. Its role owns nothing; the owner is not a superuser."""
    with Database(fleet.owner, application_name="tests") as database:
        send(fleet.owner, outcomes(5, 5))
        drain(database, batch_size=100)
        close_slice(database)
    pretend_all_came(fleet.owner, 100)
    with Database(fleet.owner, application_name="tests") as database:  # records expire by the newest arrival
        send(fleet.owner, [an_event("i-2", outcome="routed")])
        drain(database, batch_size=100)
    old = "SELECT count(*) FROM routing_records WHERE created_at < now() - interval '90 days'"
    assert execute(fleet.admin, old) == [(10,)]
    newest = newest_partition(fleet)
    execute(fleet.owner, f"DROP TABLE {newest}")
    daemon = start(
        "centralcloud", "run", DATABASE_URL=fleet.worker, CENTRALCLOUD_LEARN_INTERVAL_SECONDS="0.3",
        CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS="1", CENTRALCLOUD_POLL_INTERVAL_SECONDS="0.1",
    )  # fmt: skip
    daemon.wait_for("started")
    send(fleet.owner, [*outcomes(100, 0, complexity_score=3.0), {"no": "event"}])
    eventually(lambda: execute(fleet.admin, "SELECT score FROM model_scores"), what="a learned score")
    daemon.wait_for("partition_dropped")
    assert execute(fleet.admin, old) == [(0,)]
    eventually(lambda: execute(fleet.admin, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)])
    assert newest_partition(fleet) == newest, "made again"
    owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname LIKE 'routing_records_2%%'"
    assert execute(fleet.admin, owners) == [(f"{fleet.name}_owner",)]
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=10) == 0
    assert "background_task_failed" not in daemon.events()


def newest_partition(fleet: Fleet) -> str:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass ORDER BY 1"
    return str(execute(fleet.admin, query)[-1][0])


def test_a_worker_runs_every_command_of_operators(fleet: Fleet, tmp_path: Path) -> None:
    env = {"DATABASE_URL": fleet.worker}
    learn_something(fleet)
    learn_something(fleet)
    (tmp_path / "events.jsonl").write_text(event() + "\n")
    send(fleet.owner, [{"no": "event"}, {"no": "event either"}])
    for command in (
        ["publish", str(tmp_path / "events.jsonl")],
        ["drain"],
        ["learn", "--dry-run"],
        ["scores", "rollback", "--to", "1"],
        ["scores", "pin", "gpt-4o", "complex", "4.5"],
        ["scores", "unpin", "gpt-4o", "complex"],
        ["scores", "--compare"],
        ["scores", "explain", "gpt-4o", "complex"],
        ["scores", "history"],
        ["freeze", "--reason", "a test"],
        ["unfreeze"],
        ["metrics"],
        ["dead-letters", "list"],
        ["dead-letters", "replay", "1"],
        ["dead-letters", "discard", "2"],
        ["queue", "--seconds", "0.1"],
        ["queue", "purge", "--older-than", "0s", "--yes"],
        ["verify", "--scores"],
    ):
        result = run_command("centralcloud", *command, env=env)
        assert result.returncode == 0, (command, result.stderr)
    execute(fleet.admin, "UPDATE model_routing_metrics SET success_count = success_count + 7")
    execute(fleet.admin, "DELETE FROM evidence")
    assert run_command("centralcloud", "verify", env=env).returncode == 1
    assert run_command("centralcloud", "verify", "--repair", env=env).returncode == 0
    verified = run_command("centralcloud", "verify", "--json", env=env)
    assert json.loads(verified.stdout)["ok"]
    assert json.loads(verified.stdout)["checked"]["purged"] == 1


def test_a_worker_cannot_migrate_or_change_logins(fleet: Fleet) -> None:
    result = run_command("centralcloud", "migrate", env={"DATABASE_URL": fleet.worker})
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "permission denied" in line
    for forbidden in (
        "INSERT INTO instance_logins VALUES ('x', 'y')",
        "CREATE TABLE mine (n int)",
        "ALTER TABLE routing_records ADD COLUMN mine int",
        "DROP TABLE evidence",
        "TRUNCATE evidence",
        "UPDATE centralcloud.schema_revision SET version_num = '1'",
        "SELECT pgmq.drop_queue('model_score_updates')",
    ):
        assert refusal(fleet.worker, forbidden)


def test_a_dashboard_reads_its_tables_and_views_and_writes_nothing(fleet: Fleet) -> None:
    learn_something(fleet)
    hidden = {"decision_ids", "database_generation", "ignored_values", "instance_logins"}
    in_parts = {"routing_records": "extra", "dead_letters": "message"}
    for table in metadata.tables:
        if table in hidden:
            assert "denied" in refusal(fleet.dashboard, f"SELECT count(*) FROM {table}")
        else:
            execute(fleet.dashboard, f"SELECT count({'id' if table in in_parts else '*'}) FROM {table}")
        assert "denied" in refusal(fleet.dashboard, f"DELETE FROM {table}")
    for table, column in in_parts.items():
        assert "denied" in refusal(fleet.dashboard, f"SELECT {column} FROM {table}")
    for view in ("models_per_instance", "success_rates", "response_times", "hourly_performance"):
        execute(fleet.dashboard, f"SELECT * FROM dashboard_{view}")
    for forbidden in (
        "INSERT INTO score_pins (model_name, complexity_level, score) VALUES ('m', 'simple', 5)",
        "SELECT centralcloud.publish_decision('{}')",
        "SELECT centralcloud.acknowledge('i', 0)",
        "SELECT * FROM pgmq.q_model_routing_decisions",
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
    ):
        assert "denied" in refusal(fleet.dashboard, forbidden)
    shown = run_command("centralcloud", "scores", "--json", env={"DATABASE_URL": fleet.dashboard})
    assert json.loads(shown.stdout)[0]["score"] == 3.3


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


def test_the_command_creates_the_roles_once(bare: Fleet) -> None:
    env = {"DATABASE_URL": bare.owner}
    first = run_command("centralcloud", "grants", "--apply", *bare.options, env=env)
    assert (first.returncode, first.stderr) == (0, "")
    for role in (bare.roles.worker, bare.roles.instance, bare.roles.dashboard):
        assert f"ALTER ROLE \"{role}\" PASSWORD '...';" in first.stdout
    again = run_command("centralcloud", "grants", "--apply", *bare.options, env=env)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == first.stdout.splitlines(keepends=True)[0]


def test_the_printed_script_is_the_applied_one(bare: Fleet) -> None:
    printed = run_command("centralcloud", "grants", *bare.options, env={}).stdout
    assert printed == f"BEGIN;\n{roles_script(bare.roles).rstrip()}\nCOMMIT;\n"
    for _ in range(2):
        with psycopg.connect(bare.owner, autocommit=True) as connection:
            connection.execute(printed)
    bare.let_in(bare.roles.worker, bare.roles.instance)
    learn_something(bare)
    execute(bare.instance, "SELECT centralcloud.publish_decision(%s)", (event(),))


def test_existing_roles_keep_their_attributes(bare: Fleet) -> None:
    """Another role created them, because the owner may not create roles; and one of them has too many rights."""
    for role in (bare.roles.worker, bare.roles.instance, bare.roles.dashboard):
        execute(bare.admin, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 7")
    execute(bare.admin, f"ALTER ROLE {bare.name}_owner NOCREATEROLE")
    execute(bare.owner, f"GRANT SELECT ON model_scores TO {bare.roles.instance}")
    result = run_command("centralcloud", "grants", "--apply", *bare.options, env={"DATABASE_URL": bare.owner})
    assert result.returncode == 0
    assert result.stderr == f"warning: the role {bare.roles.instance} may read or write tables\n"
    assert "PASSWORD" not in result.stdout
    limits = (
        f"SELECT DISTINCT rolconnlimit FROM pg_roles WHERE rolname LIKE '{bare.name}%%' AND rolname NOT LIKE '%%owner'"
    )
    assert execute(bare.admin, limits) == [(7,)]


def test_a_role_that_may_not_create_roles_gets_one_line(bare: Fleet) -> None:
    execute(bare.admin, f"ALTER ROLE {bare.name}_owner NOCREATEROLE")
    for arguments in ([], ["--instance", "node-1"]):
        command = ["grants", "--apply", *bare.options, *arguments]
        result = run_command("centralcloud", *command, env={"DATABASE_URL": bare.owner})
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert "permission denied to create role" in line
    assert execute(bare.admin, f"SELECT count(*) FROM pg_roles WHERE rolname LIKE '{bare.name}%%'") == [(1,)]


def test_a_role_that_does_not_own_the_tables_gets_one_line(fleet: Fleet) -> None:
    result = run_command("centralcloud", "grants", "--apply", *fleet.options, env={"DATABASE_URL": fleet.worker})
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "found a role that does not own the tables" in line


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


def test_a_login_with_a_password(fleet: Fleet, tmp_path: Path) -> None:
    """The password is in no output and no statement, and the login may act for node-1."""
    (tmp_path / "password").write_text("s3cret-wörd\n")
    role = f"{fleet.roles.instance}_node-1"
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1"]
    env = {"DATABASE_URL": fleet.owner}
    result = run_command("centralcloud", *options, "--password-file", str(tmp_path / "password"), env=env)
    assert result.returncode == 0
    assert "s3cret" not in result.stdout + result.stderr
    assert "PASSWORD" not in result.stdout
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    ((secret,),) = execute(fleet.admin, stored, (role,))
    assert secret.startswith("SCRAM-SHA-256$")
    url = psycopg.conninfo.make_conninfo(fleet.admin, user=role, password="s3cret-wörd")
    execute(url, "SELECT centralcloud.publish_decision(%s)", (event(),))
    again = run_command("centralcloud", *options, env=env)
    assert again.returncode == 0
    assert execute(fleet.admin, stored, (role,)) == [(secret,)], "without a file it stays as it was"


def test_the_roles_get_passwords_from_a_file_and_from_standard_input(bare: Fleet, tmp_path: Path) -> None:
    """As for a login: no extra step in psql, and the passwords are in no output and no statement."""
    (tmp_path / "password").write_text("s3cret-wörd\n")
    options = ["grants", "--apply", *bare.options, "--worker-password-file", str(tmp_path / "password")]
    env = {"DATABASE_URL": bare.owner}
    result = run_command("centralcloud", *options, "--dashboard-password-file", "-", env=env, input_text="s3cret-2\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert "s3cret" not in result.stdout
    assert result.stdout.count("PASSWORD") == 1
    assert f"ALTER ROLE \"{bare.roles.instance}\" PASSWORD '...';" in result.stdout
    stored = execute(
        bare.admin,
        "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%%') FROM pg_authid WHERE rolname = ANY (%s)",
        ([bare.roles.worker, bare.roles.dashboard],),
    )
    assert stored == [(True,)]
    logins = {bare.roles.worker: "s3cret-wörd", bare.roles.dashboard: "s3cret-2"}
    for role, password in logins.items():
        url = psycopg.conninfo.make_conninfo(bare.admin, user=role, password=password)
        assert execute(url, "SELECT session_user::text") == [(role,)]
    ((after,),) = execute(bare.admin, "SELECT after FROM operator_actions WHERE action = 'grant_roles'")
    assert after["passwords_set"] == sorted(logins)
    assert run_command("centralcloud", "grants", "--apply", *bare.options, env=env).returncode == 0
    assert execute(bare.admin, "SELECT count(rolpassword) FROM pg_authid WHERE rolname = ANY (%s)", ([*logins],)) == [
        (2,)
    ], "without a file they stay as they were"


def test_a_password_is_asked_twice_on_a_terminal_and_never_shown(fleet: Fleet) -> None:
    role = f"{fleet.roles.instance}_node-1"
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1"]
    options += ["--password-file", "-"]
    program = TerminalProgram("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
    program.type(b"s3cret\n", after=f"Password of {role}: ".encode())
    program.type(b"s3cret\n", after=f"Once more, password of {role}: ".encode())
    code, screen = program.end()
    assert (code, "s3cret" in screen) == (0, False), screen
    url = psycopg.conninfo.make_conninfo(fleet.admin, user=role, password="s3cret")
    assert execute(url, "SELECT session_user::text") == [(role,)]
    interrupted = TerminalProgram("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
    interrupted.type(b"\x03", after=b"Password")
    code, screen = interrupted.end()
    assert (code, screen.splitlines()[-1]) == (130, "centralcloud: interrupted: nothing was granted")


@pytest.mark.parametrize(
    ("answers", "problem"),
    [(["one", "two"], "found two different passwords"), (["", ""], "expected a password on one line")],
)
def test_a_password_that_is_not_repeated_or_empty_is_refused(
    answers: list[str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: answers.pop(0))
    with pytest.raises(SettingsError, match=f"^--password-file: {problem}"):
        grants(instance="node-1", apply=True, password_file=Path("-"))


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["--revoke"],
        ["--login", "x"],
        ["--password-file", "x"],
        ["--instance", "i", "--password-file", "x"],
        ["--worker-password-file", "x"],
        ["--apply", "--worker-password-file", "/nowhere"],
        ["--apply", "--dashboard-password-file", "-"],
        ["--apply", "--instance", "i", "--worker-password-file", "x"],
        ["--instance", "i", "--revoke", "--apply", "--password-file", "x"],
        ["--instance", "i", "--apply", "--password-file", "/nowhere"],
        ["--instance", ""],
        ["--instance", "x" * 201],
        ["--instance", "two\nlines"],
        ["--instance-role", "public"],
        ["--worker-role", "pg_mine"],
        ["--worker-role", "x" * 64],
        ["--worker-role", "same", "--instance-role", "same"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    result = run_command("centralcloud", "grants", *arguments, env={"DATABASE_URL": "postgresql://u@127.0.0.1:1/d"})
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert any(words in line for words in ("expected", "cannot read", "is required"))


def test_two_concurrent_grants_both_succeed(fleet: Fleet) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def grant(_number: int) -> None:
        with Database(fleet.owner, application_name="tests") as database:
            apply_roles(database, fleet.roles, OPERATOR)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(grant, range(8)))


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


def test_the_scripts_name_every_table() -> None:
    script = roles_script(Roles())
    assert all(
        f'"{table}"' in script for table in metadata.tables if table not in ("database_generation", "instance_logins")
    )
    assert "instance_logins" in login_script(Login("a", "b", "c"))


def test_only_the_owner_creates_objects_in_the_schema_public(bare: Fleet) -> None:
    """PostgreSQL 14 allows it to every role; the owner, who had only that right, keeps it."""
    execute(bare.admin, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    with Database(bare.owner, application_name="tests") as database:
        assert apply_roles(database, bare.roles, OPERATOR).warnings == []
    bare.let_in(bare.roles.instance)
    assert refusal(bare.instance, "CREATE TABLE mine (n int)")
    execute(bare.owner, "CREATE TABLE mine (n int)")


def test_locks_can_be_forbidden_to_instances_as_the_page_says(fleet: Fleet) -> None:
    """A lock with the name of that of ingest would block ingest."""
    page = (REPOSITORY / "docs/how-to/least-privilege.md").read_text()
    (block,) = re.findall(r"<<'END'\n(.*?)^END\n", page, re.DOTALL | re.MULTILINE)
    for name in ("worker", "owner"):
        block = block.replace(f"'centralcloud_{name}'", f"'{fleet.name}_{name}'")
    login = a_login(fleet, "node-1")
    lock = "SELECT pg_advisory_lock(hashtext('centralcloud.slice'))"
    execute(login, lock)
    with psycopg.connect(fleet.admin) as connection:
        connection.execute(block)
    for shape in ("lock(1)", "lock_shared(1)", "xact_lock(1, 2)", "xact_lock_shared(1)"):
        assert refusal(login, f"SELECT pg_advisory_{shape}")
        assert refusal(login, f"SELECT pg_try_advisory_{shape}")
    execute(login, "SELECT pg_advisory_unlock_all()")  # some drivers do, between uses of a connection
    statement, parameters = SPEAKING[0]
    execute(login, statement, parameters)
    learn_something(fleet)
    assert run_command("centralcloud", "migrate", env={"DATABASE_URL": fleet.owner}).returncode == 0


def test_a_foreign_operator_does_not_run_as_the_owner(fleet: Fleet) -> None:
    """A login can create objects in the schema public where every role may, as on PostgreSQL 14."""
    login, role = a_login(fleet, "node-1"), f"{fleet.roles.instance}_node-1"
    execute(fleet.admin, f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"')
    with psycopg.connect(login) as connection:
        for left, right in (("varchar", "text"), ("varchar", "varchar"), ("name", "text"), ("oid", "regrole")):
            connection.execute(
                f"""
                CREATE FUNCTION public.mine({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
                CREATE OPERATOR public.= (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.mine)
                """
            )
    for statement, parameters in (*SPEAKING[::2], ("SELECT centralcloud.epoch(), centralcloud.current_scores()", None)):
        execute(login, statement, parameters)
    execute(login, "SELECT centralcloud.score_updates_since(0)")
    assert refusal(login, *SPEAKING[1])


def test_a_right_that_the_owner_cannot_revoke_is_a_warning(bare: Fleet) -> None:
    execute(bare.admin, "ALTER SCHEMA public OWNER TO CURRENT_USER; GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC")
    with Database(bare.owner, application_name="tests") as database:
        warnings = apply_roles(database, bare.roles, OPERATOR).warnings
    assert warnings == [
        f"the role {role} may create objects in the schema public"
        for role in (bare.roles.dashboard, bare.roles.instance, bare.roles.worker)
    ]
