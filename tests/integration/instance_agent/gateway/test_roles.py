"""Each route of the OpenAPI document with each role, and without a key."""

import re
from pathlib import Path

from support.gateways import Gateway, a_key
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import ROLES
from instance_agent.gateway.openapi.document import document
from instance_agent.gateway.openapi.operation import OF_FLEET

RANK = ("viewer", "user", "operator", "admin")
#: A client behind a proxy is not one of this machine, whose metrics need no key.
PROXIED = {"x-forwarded-for": "203.0.113.7"}


def test_each_route_is_for_the_roles_of_its_description(gateway: Gateway, database_url: str) -> None:
    assert set(RANK) == set(ROLES)
    keys = {role: a_key(database_url, role) for role in RANK}
    of_workspace = a_key(database_url, "admin", workspace="acme")
    eventually(lambda: gateway.call("GET", "/v1/models", key=of_workspace).status == 200, what="the new keys")
    for path, operations in document()["paths"].items():
        url = re.sub(r"\{\w+\}", "none", path)
        for method, operation in operations.items():
            needs = next((role for role in RANK if f"the role {role}" in operation["description"]), None)
            assert (needs is None) == (operation.get("security") == []), path
            body = b"[" if method in ("post", "patch", "put") else None
            for number, role in enumerate(RANK):
                reply = gateway.call(method.upper(), url, body, key=keys[role], headers=PROXIED)
                allowed = needs is None or number >= RANK.index(needs)
                assert (reply.status != 403) == allowed, (method, path, role, reply.status)
                assert reply.status not in (401, 405), (method, path, role)
                assert reply.status < 500, (method, path, role, reply.body)
            if operation["tags"][0] in ("registry", "configuration", "experiments"):
                bound = gateway.call(method.upper(), url, body, key=of_workspace, headers=PROXIED)
                assert (bound.status == 403) == (OF_FLEET in operation["description"]), (method, path, bound.status)
            reply = gateway.call(method.upper(), url, body, key=None, headers=PROXIED)
            assert (reply.status != 401) == (needs is None), (method, path)


def test_admin_alone_may_change_the_configuration() -> None:
    operations = [
        (method.upper(), path, operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]
    needs = {
        role: {(m, path) for m, path, each in operations if f"the role {role}" in each["description"]} for role in RANK
    }
    changes = {
        (method, path)
        for method, path, each in operations
        if method != "GET" and each["tags"][0] in ("registry", "configuration")
    }
    runs = {
        ("PATCH", "/api/models/{id}/status"), ("PATCH", "/api/models/batch/status"), ("POST", "/api/models/{id}/health"),
    }  # fmt: skip
    stages = {("POST", f"/api/experiments/{{id}}/{each}") for each in ("pause", "resume", "stop", "promote")}
    shown = {("GET", "/api/experiments"), ("GET", "/api/experiments/{id}")}
    begun_or_gone = {("POST", "/api/experiments"), ("DELETE", "/api/experiments/{id}")}
    assert needs["admin"] == {*(changes - runs), *begun_or_gone}
    of_fleet = {(method, path) for method, path, each in operations if OF_FLEET in each["description"]}
    assert of_fleet == {*changes, ("GET", "/api/config/export"), *stages, *shown, *begun_or_gone}
    assert needs["operator"] == {*runs, ("GET", "/metrics"), ("GET", "/api/config/export"), *stages}


def test_the_table_of_roles_in_the_reference_has_every_route() -> None:
    page = (Path(__file__).parents[4] / "docs/reference/gateway-api.md").read_text()
    rows = page.partition("## Roles")[2].partition("## ")[0].splitlines()
    written = {}
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith("| `"):
            written |= {name.strip("` "): cells[1] for name in cells[0].split(",")}
    described = {}
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            role = next((role for role in RANK if f"the role {role}" in operation["description"]), "no key")
            described[f"{method.upper()} {path}"] = role
    assert {name: role.strip("`") for name, role in written.items()} == described
