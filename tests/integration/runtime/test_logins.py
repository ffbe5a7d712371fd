"""A login that is refused is not an outage: it is named, it ends a start, and no event is lost to it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, Outage, outage_kind
from instance_agent.sync.event_publisher import EventPublisher

START = [("centralcloud", "CENTRALCLOUD_WAIT_FOR_LOGIN"), ("instance-agent", "INSTANCE_AGENT_WAIT_FOR_LOGIN")]


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """The name of a login that does not exist yet."""
    name = f"cc_login_{time.monotonic_ns()}"
    yield name
    execute(database_url, f"DROP ROLE IF EXISTS {name}")


@pytest.mark.parametrize("program", ["centralcloud", "instance-agent"])
def test_a_refused_login_at_the_start_ends_the_program_with_one_line(
    start: Callable[..., Program], database_url: str, role: str, program: str
) -> None:
    refused = start(program, "run", DATABASE_URL=make_conninfo(database_url, user=role), INSTANCE_ID="i")
    assert refused.process.wait(20) == 1
    last = refused.output().splitlines()[-1]
    assert last.startswith(f"{program}: login_refused: ")
    assert f'role "{role}" does not exist: correct the user, the password' in last
    assert "login_refused" in refused.events()
    assert "shutdown_timeout" not in refused.events(), "no task waits for a login that is refused"
    assert "Traceback" not in refused.output()


@pytest.mark.parametrize(("program", "setting"), START)
def test_a_program_that_waits_for_its_login_starts_when_it_exists(
    start: Callable[..., Program], database_url: str, role: str, program: str, setting: str
) -> None:
    url = make_conninfo(database_url, user=role)
    waiting = start(program, "run", DATABASE_URL=url, INSTANCE_ID="i", **{setting: "true"})
    waiting.wait_for("login_refused")
    assert waiting.process.poll() is None
    execute(database_url, f"CREATE ROLE {role} LOGIN SUPERUSER")
    waiting.wait_for("database_restored")
    assert waiting.process.poll() is None


def test_a_login_of_another_instance_ends_the_start_of_an_agent_with_one_line(
    start: Callable[..., Program], database_url: str, role: str, tmp_path: Path
) -> None:
    """Also of one with a catalog, whose reading succeeds meanwhile."""
    execute(database_url, f"CREATE ROLE {role} LOGIN SUPERUSER")
    execute(database_url, "INSERT INTO instance_logins (role_name, instance_id) VALUES (%s, 'node-1')", (role,))
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("models: [{name: gpt-4o, provider: p, complexity_scores: {complex: 1.0}}]")
    settings = {"INSTANCE_AGENT_CATALOG": str(catalog), "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}
    refused = start(
        "instance-agent", "run", DATABASE_URL=make_conninfo(database_url, user=role), INSTANCE_ID="other", **settings
    )
    assert refused.process.wait(20) == 1
    assert refused.output().splitlines()[-1].startswith("instance-agent: wrong_instance: ")


def test_events_wait_in_memory_while_the_login_belongs_to_another_instance(
    database_url: str, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    execute(database_url, f"CREATE ROLE {role} LOGIN SUPERUSER")
    execute(database_url, "INSERT INTO instance_logins (role_name, instance_id) VALUES (%s, 'node-1')", (role,))
    with Database(make_conninfo(database_url, user=role), application_name="tests") as database:
        publisher = EventPublisher(database, queue_size=10)
        publisher.start()
        try:
            for number in "012":
                event = {"instance_id": "node-2", "decision_id": number, "timestamp": "2026-01-01T00:00:00Z"}
                publisher.publish_text(json.dumps(event))
            eventually(
                lambda: database.unavailable_reason.startswith('wrong_instance: events[0].instance_id: found "node-2"')
            )
            assert (publisher.waiting, publisher.dropped, publisher.sent) == (3, 0, 0)
            execute(database_url, "UPDATE instance_logins SET instance_id = 'node-2'")
            eventually(lambda: publisher.sent == 3)
        finally:
            publisher.stop()
            publisher.join(5)
    assert publisher.dropped == 0
    assert "wrong_instance" in caplog.text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  password authentication failed for user "u"', Outage.LOGIN_REFUSED),
        ("FATAL:  no such user: u", Outage.LOGIN_REFUSED),
        ('FATAL:  no pg_hba.conf entry for host "h", user "u", database "d"', Outage.LOGIN_REFUSED),
        ('FATAL:  permission denied for database "d"', Outage.LOGIN_REFUSED),
        ("local user with ID 4242 does not exist", Outage.LOGIN_REFUSED),
        ("FATAL:  the database system is starting up", Outage.DATABASE_UNAVAILABLE),
        ("FATAL:  sorry, too many clients already", Outage.DATABASE_UNAVAILABLE),
        (
            "connection failed - host: 'a': FATAL:  database \"d\" does not exist - host: 'b': Connection refused",
            Outage.DATABASE_UNAVAILABLE,
        ),
        (
            "x - host: 'a': FATAL:  no such database: d - host: 'b': FATAL:  database \"d\" does not exist",
            Outage.LOGIN_REFUSED,
        ),
    ],
)
def test_only_what_waiting_cannot_change_is_a_refused_login(text: str, kind: Outage) -> None:
    assert outage_kind(DatabaseUnavailableError(text)) == kind
