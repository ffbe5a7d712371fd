"""Operators change the database that the pages show, and no other."""

import html
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.fleet import Fleet
from support.servers import execute, with_database

from centralcloud.dashboard.actions.same_database import OtherDatabaseError, check_same, read_identity
from centralcloud.runtime.postgres.database import Database

from .conftest import Browser, Log, serving

PIN = "/actions/pin?model=gpt-4o&complexity=complex"


def test_a_dashboard_whose_operators_have_another_database_does_not_start(fleet: Fleet, tmp_path: Path) -> None:
    url = SecretStr(with_database(fleet.operator, "postgres"))
    with (
        pytest.raises(OtherDatabaseError, match=f"'postgres' of the same server, expected '{fleet.name}'"),
        serving(fleet, tmp_path / "users", operator_database_url=url),
    ):
        pass


def test_a_database_that_could_not_be_compared_at_the_start_is_compared_before_an_action(
    fleet: Fleet, tmp_path: Path, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    url = SecretStr(with_database(fleet.operator, "postgres"))
    execute(fleet.admin, f"ALTER ROLE {fleet.roles.operator} NOLOGIN")
    try:
        with serving(fleet, tmp_path / "users", operator_database_url=url) as dashboard:
            assert [each for each in caplog.records if "dashboard_operators_unavailable" in each.getMessage()]
            execute(fleet.admin, f"ALTER ROLE {fleet.roles.operator} LOGIN")
            ada = Browser(dashboard).log_in()
            answer = ada.get(PIN)
            assert answer.status == 503
            assert "is for the database 'postgres' of the same server" in html.unescape(answer.text)
            assert ada.get("/scores").status == 200
    finally:
        execute(fleet.admin, f"ALTER ROLE {fleet.roles.operator} LOGIN")
    assert log.new() == []


def test_both_roles_see_the_same_identity_also_where_one_may_not_see_the_cluster(fleet: Fleet) -> None:
    urls = (fleet.dashboard, fleet.operator, fleet.worker)

    def identities() -> list[tuple[str, int, int | None]]:
        found = []
        for url in urls:
            with Database(url, application_name="tests") as database, database.transaction() as connection:
                found.append(read_identity(connection))
        return found

    pages, operators, worker = identities()
    assert pages == operators == worker
    assert pages.cluster == execute(fleet.admin, "SELECT system_identifier FROM pg_control_system()")[0][0]
    execute(fleet.admin, "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC")
    try:
        hidden = identities()[1]
    finally:
        execute(fleet.admin, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO PUBLIC")
    assert hidden == operators._replace(cluster=None)
    check_same(pages, hidden)
