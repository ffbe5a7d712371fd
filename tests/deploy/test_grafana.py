"""The dashboard: its queries and metrics exist, and the role of Grafana may read them."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from support.metric_names import METRICS, NAMES
from support.repository import REPOSITORY

from centralcloud.administration.grants import Roles, roles_script
from centralcloud.contracts import COMPLEXITIES

_DASHBOARDS = sorted((REPOSITORY / "deploy/grafana/dashboards").glob("*.json"))


def _panels() -> list[dict[str, Any]]:
    return [panel for file in _DASHBOARDS for panel in json.loads(file.read_text())["panels"]]


def _queries(field: str) -> list[tuple[str, str]]:
    return [
        (panel["title"], target[field]) for panel in _panels() for target in panel.get("targets", ()) if field in target
    ]


def as_grafana_sends_it(sql: str) -> str:
    """Return the query with the macros of Grafana and the variables of the dashboard replaced."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2026-11-01T00:00:00Z' AND '2026-11-20T00:00:00Z'", sql)
    return sql.replace("$complexity", ",".join(f"'{each}'" for each in COMPLEXITIES))


@pytest.fixture
def grafana(database_url: str) -> psycopg.Connection:
    """A connection with the rights of Grafana. Roles belong to the whole server, so they are rolled back."""
    roles = Roles(worker="a_worker", instance="an_instance", dashboard="grafana", gateway="a_gateway")
    with psycopg.connect(database_url) as connection:
        connection.execute(roles_script(roles).encode())
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


def test_the_role_of_dashboards_may_run_the_queries_of_use_and_cost_but_the_one_by_key(
    grafana: psycopg.Connection,
) -> None:
    page = (REPOSITORY / "docs/how-to/see-use-and-cost.md").read_text()
    queries = re.findall(r"^```sql\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(queries) == 5
    *others, by_key = sorted(queries, key=lambda query: "key_id" in query)
    for query in others:
        grafana.execute(query)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="routing_records"):
        grafana.execute(by_key)


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


def test_grafana_sees_no_text_of_users(grafana: psycopg.Connection) -> None:
    for column in ("routing_records.user_model_request", "routing_records.extra", "dead_letters.message"):
        table, name = column.split(".")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), grafana.transaction():
            grafana.execute(f"SELECT {name} FROM {table}")


def test_grafana_logs_in_with_the_role_of_dashboards(deploy: Path) -> None:
    provisioned = yaml.safe_load((deploy / "grafana/provisioning/datasources/centralcloud.yaml").read_text())
    assert [source["user"] for source in provisioned["datasources"] if "user" in source] == [Roles().dashboard]


def test_every_metric_of_the_dashboard_exists() -> None:
    queries = _queries("expr")
    assert len(queries) > 25
    for title, expression in queries:
        named = set(NAMES.findall(expression))
        assert named, title
        assert named <= set(METRICS), title


def test_every_metric_is_on_the_dashboard() -> None:
    """The exceptions duplicate metrics that are shown."""
    shown = {name for _, expr in _queries("expr") for name in NAMES.findall(expr)}
    unshown = {
        "centralcloud_pairs_evaluated_total",
        *(name for name in METRICS if name.endswith(("_sum", "_count"))),
        "centralcloud_instance_applied_version",
        "instance_agent_applied_version",
        # The dashboard of the gateway has them.
        *(name for name in METRICS if name.startswith(("centralcloud_gateway_", "model_router_"))),
    }
    assert set(METRICS) - shown <= unshown


def test_every_dashboard_has_a_uid_of_its_own() -> None:
    uids = [json.loads(file.read_text())["uid"] for file in _DASHBOARDS]
    assert sorted(uids) == ["centralcloud", "centralcloud-gateway"]


@pytest.mark.parametrize("file", _DASHBOARDS, ids=lambda file: file.stem)
def test_panels_do_not_overlap_and_their_datasources_are_provisioned(deploy: Path, file: Path) -> None:
    dashboard = json.loads(file.read_text())
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
