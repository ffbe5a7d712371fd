"""The OpenAPI document: it has every route, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from centralcloud.contracts.fleet_configuration import parse_endpoint, parse_health, parse_model
from centralcloud.runtime.process.shutdown import Shutdown
from instance_agent.gateway.api.route_requests import ROUTE_FIELDS, TEST_FIELDS, read_route_request
from instance_agent.gateway.api.select import SELECT_FIELDS
from instance_agent.gateway.openapi.document import document
from instance_agent.gateway.openapi.operations import OPERATIONS
from instance_agent.gateway_program import GatewayProgram
from instance_agent.settings import GatewaySettings


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, str]]]:
    """Method and path of every route of the gateway."""
    monkeypatch.setenv("INSTANCE_AGENT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
    monkeypatch.setenv("INSTANCE_ID", "gateway-1")
    program = GatewayProgram(GatewaySettings(), Shutdown())
    found = program.routes(CollectorRegistry())
    yield {(route.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.path)) for route in found}
    program.database.close()


def test_the_document_has_every_route_and_nothing_else(routes: set[tuple[str, str]]) -> None:
    paths = document()["paths"]
    described = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert described == routes


def test_every_reference_leads_to_a_schema_and_every_schema_is_used() -> None:
    found = document()
    references = set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(found).decode()))
    schemas = set(found["components"]["schemas"])
    assert references - schemas == set()
    assert schemas - references == set()


def test_operations_have_ids_of_their_own_and_the_parameters_of_their_paths() -> None:
    ids = []
    for path, operations in document()["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
    assert len(ids) == len(set(ids))


def test_operations_that_add_or_replace_an_entry_have_both_statuses() -> None:
    paths = document()["paths"]
    for path in ("/api/routing/policies", "/api/budgets"):
        assert {"200", "201"} <= paths[path]["post"]["responses"].keys()
    removals = [operations["delete"] for path, operations in paths.items() if "delete" in operations]
    named = [each for each in removals if "endpoint" not in each["operationId"]]
    assert len(named) == 7
    assert all("409" in each["responses"] for each in named)


def test_examples_are_accepted_by_the_parsers() -> None:
    examples = {path: operation.example for (_, path), operation in OPERATIONS.items() if operation.example}
    parse_model(examples["/api/models"])
    parse_health(examples["/api/models/{id}/health"])
    parse_endpoint(examples["/api/models/{id}/endpoints"], model_id="gpt-4")
    read_route_request(examples["/api/route"])
    read_route_request(examples["/api/routing/test"], testing=True)


def test_schemas_of_requests_have_the_fields_that_are_accepted() -> None:
    schemas: dict[str, Any] = document()["components"]["schemas"]
    assert set(schemas["RouteRequest"]["properties"]) == set(ROUTE_FIELDS)
    assert set(schemas["RoutingTest"]["properties"]) == set(TEST_FIELDS)
    assert set(schemas["SelectRequest"]["properties"]) == set(SELECT_FIELDS)
    assert "id" not in schemas["NewModel"]["required"]
