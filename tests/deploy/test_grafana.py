"""The dashboard: its queries and metrics exist, and the role of Grafana may read them."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict
from support.commands import run_command
from support.metric_names import METRICS
from support.repository import REPOSITORY
from support.servers import OwnServer, embedded_folder, execute, programs_of

from centralcloud.contracts import COMPLEXITIES

_DASHBOARD = REPOSITORY / "deploy/grafana/dashboards/centralcloud.json"
_LIBPQ = {"HOST": "host", "PORT": "port", "USER": "user", "DATABASE": "dbname"}


def _panels() -> list[dict[str, Any]]:
    return json.loads(_DASHBOARD.read_text())["panels"]


def _queries(field: str) -> list[tuple[str, str]]:
    return [
        (panel["title"], target[field]) for panel in _panels() for target in panel.get("targets", ()) if field in target
    ]


def as_grafana_sends_it(sql: str) -> str:
    """Return the query with the macros of Grafana and the variables of the dashboard replaced."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2026-11-01T00:00:00Z' AND '2026-11-20T00:00:00Z'", sql)
    return sql.replace("$complexity", ",".join(f"'{each}'" for each in COMPLEXITIES))


def _is_password(password: str, kept: str) -> bool:
    """Return whether `kept`, from pg_authid, is a SCRAM verifier of `password` (RFC 5802)."""
    method, iterations_and_salt, keys = kept.split("$")
    assert method == "SCRAM-SHA-256"
    iterations, salt = iterations_and_salt.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return base64.b64encode(hashlib.sha256(client_key).digest()).decode() == keys.split(":")[0]


@pytest.fixture
def grafana(database_url: str, deploy: Path) -> psycopg.Connection:
    """A connection with the rights of Grafana. Roles belong to the whole server, so this one is rolled back."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE ROLE grafana")
        connection.execute((deploy / "grafana/access.sql").read_text())
        connection.execute("SET LOCAL ROLE grafana")
        yield connection
        connection.rollback()


def test_every_query_of_the_dashboard_runs_with_grafanas_rights(grafana: psycopg.Connection) -> None:
    queries = _queries("rawSql")
    assert len(queries) > 8
    for title, sql in queries:
        sql = as_grafana_sends_it(sql)
        assert "$" not in sql, title
        try:
            grafana.execute(sql)
        except psycopg.Error as error:
            pytest.fail(f"{title}: {error}")


def test_a_time_series_has_the_column_names_that_grafana_needs(grafana: psycopg.Connection) -> None:
    for panel in _panels():
        for target in panel.get("targets", ()):
            if target.get("format") == "time_series":
                columns = grafana.execute(as_grafana_sends_it(target["rawSql"])).description
                assert [column.name for column in columns] == ["time", "metric", "value"], panel["title"]


def test_grafana_sees_no_event_and_no_message(grafana: psycopg.Connection) -> None:
    for table in ("routing_records", "decision_ids", "dead_letters"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), grafana.transaction():
            grafana.execute(f"SELECT * FROM {table}")


def test_compose_creates_the_role_of_grafana_and_can_change_its_password(deploy: Path, tmp_path: Path) -> None:
    """Use a separate server, because roles belong to the whole server."""
    script = shutil.copy(deploy / "docker/grafana-access.sh", tmp_path)
    shutil.copy(deploy / "grafana/access.sql", tmp_path)
    with embedded_folder() as folder:
        server = OwnServer(str(folder))
        try:
            programs = programs_of(server.url)
            assert run_command("centralcloud", "migrate", env={"DATABASE_URL": server.url}).returncode == 0
            where = conninfo_to_dict(server.url)
            env = {f"PG{name}": str(where[key]) for name, key in _LIBPQ.items() if key in where}
            env |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
            for password in ("first", 'it\'s "another" $one'):
                command = ["bash", script]
                subprocess.run(command, env=env | {"GRAFANA_PASSWORD": password}, check=True, timeout=60)
                ((kept,),) = execute(server.url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'grafana'")
                assert _is_password(password, kept)
            ((may_read,),) = execute(
                server.url, "SELECT has_table_privilege('grafana', 'dashboard_success_rates', 'SELECT')"
            )
            assert may_read
        finally:
            server.stop()


def test_the_script_of_compose_runs_in_the_oldest_psql(deploy: Path) -> None:
    """The image of the database runs it, and psql 14 has neither \\getenv nor \\bind."""
    script = (deploy / "docker/grafana-access.sh").read_text()
    assert set(re.findall(r"\\([a-z]+)", script)) == {"set", "gexec", "i"}


def test_every_metric_of_the_dashboard_exists() -> None:
    queries = _queries("expr")
    assert len(queries) > 25
    for title, expression in queries:
        named = set(re.findall(r"\b(?:centralcloud|instance_agent)_\w+", expression))
        assert named, title
        assert named <= set(METRICS), title


def test_every_metric_is_on_the_dashboard() -> None:
    """The exceptions duplicate metrics that are shown."""
    shown = {
        name for _, expr in _queries("expr") for name in re.findall(r"\b(?:centralcloud|instance_agent)_\w+", expr)
    }
    unshown = {
        "centralcloud_pairs_evaluated_total",
        *(name for name in METRICS if name.endswith(("_sum", "_count"))),
        "centralcloud_instance_applied_version",
        "instance_agent_applied_version",
    }
    assert set(METRICS) - shown <= unshown


def test_panels_do_not_overlap_and_their_datasources_are_provisioned(deploy: Path) -> None:
    dashboard = json.loads(_DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    provisioned = yaml.safe_load((deploy / "grafana/provisioning/datasources/centralcloud.yaml").read_text())
    by_uid = {source["uid"]: source["type"] for source in provisioned["datasources"]}
    chosen = {
        variable["name"]: by_uid[variable["current"]["value"]]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "datasource"
    }
    for panel in dashboard["panels"]:
        for source in [panel.get("datasource"), *(target["datasource"] for target in panel.get("targets", ()))]:
            if source is not None:
                assert source["type"] == chosen[source["uid"].strip("${}")], panel["title"]


def test_every_variable_of_the_provisioning_is_set_by_the_example(deploy: Path) -> None:
    text = (deploy / "grafana/provisioning/datasources/centralcloud.yaml").read_text()
    wanted = set(re.findall(r"\$([A-Z_]+)", text))
    compose = yaml.safe_load((deploy / "docker/compose.yaml").read_text())
    assert wanted <= set(compose["services"]["grafana"]["environment"])
