"""Small parts of the way of a request: costs, times, capabilities, errors and their forms."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.source import CatalogSource
from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.protocol import RequestHead
from instance_agent.execution.errors import ExecutionError
from instance_agent.gateway.api.requests import request_id_of
from instance_agent.gateway.errors import GatewayError, error_response, form_of, not_implemented, of_routing
from instance_agent.gateway.models_api import _usable
from instance_agent.gateway.pipeline import _feedback_seconds, header_text, needs_of, shown_losses, usd
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import PlanError
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.rules import NO_RULES
from instance_agent.routing.struck import Struck

_NEEDED = Struck("a", "capability_needed", "w")


@pytest.mark.parametrize(
    ("nano", "shown"),
    [(0, "0"), (1, "0.000000001"), (15_000, "0.000015"), (1_000_000_000, "1"), (2_500_000_000, "2.5"), (10**10, "10")],
)
def test_costs_are_exact(nano: int, shown: str) -> None:
    assert usd(nano) == shown


def test_times_of_feedback() -> None:
    assert [_feedback_seconds(text) for text in (None, "", "90s", "10m", " 12H ", "7d")] == [
        None, None, 90.0, 600.0, 43_200.0, 604_800.0,
    ]  # fmt: skip
    for wrong in ("10", "m", "0s", "8d", "1w", "-1s", "1.5h", "99999999s"):
        with pytest.raises(GatewayError, match=f'x-centralcloud-feedback: found "{re.escape(wrong)}", expected a time'):
            _feedback_seconds(wrong)


def test_the_content_of_a_request_says_what_a_model_must_have() -> None:
    head: dict[str, Any] = {"model": "auto", "text": "", "characters": 0, "messages": 1}
    assert needs_of(RequestHead(**head)) == ()
    needs = needs_of(RequestHead(**head, images=1, tools=2, response_format="json_schema"))
    assert needs == ("function_calling", "json_schema", "vision")
    assert needs_of(RequestHead(**head, images=1, inputs=("audio", "documents"))) == ("audio", "documents", "vision")


def test_the_id_of_a_request_has_one_form() -> None:
    own = "0199f3f4-5a7e-7c3a-9b1e-2f6d8c4a1b90"
    assert [request_id_of(each, "f") for each in (own, own.upper(), f"response-{own}")] == [own] * 3
    for wrong in (f"{{urn:uuid:{own}", f"{{{own}}}", own.replace("-", ""), f"{own}\n", "", None, 7):
        with pytest.raises(InvalidRequestError, match="f: found"):
            request_id_of(wrong, "f")


def test_the_setup_of_the_gateway_is_shown_to_operators_alone() -> None:
    struck = (Struck("a@p", "provider_unavailable", "its provider has no key"), Struck("b@p", "no_score", "w"))
    error = PlanError("no_target", "a@p: its provider has no key", struck)
    assert of_routing(error).message == "a@p: its provider has no key"
    known = of_routing(error, {"a@p": "KEY is not set"}.get)
    assert known.message == "a@p: its provider has no key (KEY is not set)"
    left_out = {"target": "a@p", "code": "provider_unavailable", "reason": "KEY is not set"}
    assert json.loads(form_of("/api/route")(known, "r"))["leftOut"][0] == left_out
    assert "leftOut" not in json.loads(form_of("/v1/models")(known, "r"))


def test_header_values_cannot_break_a_header() -> None:
    assert shown_losses(("n", "x\r\nset-cookie: a=1", "ü")) == "n; x%0D%0Aset-cookie: a=1; %C3%BC"
    assert header_text("qwen/qwen3 30b") == "qwen/qwen3 30b"
    assert header_text("模型") == "%E6%A8%A1%E5%9E%8B"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RoutingError("header x: found 11"), 400, "invalid_request"),
        (PlanError("model_not_found", "model: found x"), 404, "model_not_found"),
        (PlanError("no_target", "none", (_NEEDED,)), 400, "no_target"),
        (PlanError("no_target", "none", (_NEEDED, Struck("b", "breaker_open", "w"))), 503, "no_target"),
        (PlanError("model_unusable", "no key", (Struck("a", "provider_unavailable", "w"),)), 503, "model_unusable"),
        (PlanError("no_target", "the catalog is empty"), 503, "no_target"),
        (PlanError("policy_not_found", "model: found policy:x"), 404, "policy_not_found"),
        (PlanError("workspace_restriction", "w"), 403, "workspace_restriction"),
        (PlanError("compliance", "w"), 403, "compliance"),
        (PlanError("policy_cost", "w"), 402, "policy_cost"),
        (PlanError("budget", "w"), 402, "budget"),
    ],
)  # fmt: skip
def test_a_request_without_a_plan_is_at_fault_only_where_another_one_could_have_one(
    error: RoutingError, status: int, code: str
) -> None:
    found = of_routing(error)
    assert (found.status, found.code) == (status, code)


def test_errors_have_the_form_of_their_interface_and_name_the_request() -> None:
    error = InvalidRequestError("found x", param="model")
    bodies = {path: json.loads(form_of(path)(error, "r-1")) for path in ("/v1/models", "/v1/messages", "/api/models")}

    assert bodies["/v1/models"]["error"]["request_id"] == "r-1"
    assert (bodies["/v1/messages"]["type"], bodies["/v1/messages"]["request_id"]) == ("error", "r-1")
    assert bodies["/api/models"] == {
        "error": {"code": "invalid_request", "message": "found x", "field": "model", "requestId": "r-1"}
    }


def test_an_error_says_when_a_retry_can_help() -> None:
    busy = ExecutionError("busy", status=429, attempts=1, retry_after_seconds=1.2, retry_is_safe=True)
    response = error_response(busy, form_of("/v1"), "r-1")

    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("2", "1200")
    assert response.headers["x-should-retry"] == "true"


def test_an_operation_that_no_target_has_is_501_with_the_reason() -> None:
    found = not_implemented(
        UnsupportedFeatureError("the operation responses", "the dialect anthropic"), "/v1/responses"
    )

    assert found.status == 501
    assert "the dialect anthropic" in found.message
    assert "expected /v1/chat/completions, or " in found.message
    other = ExecutionError("x", status=502, attempts=1, retry_after_seconds=None, retry_is_safe=False)
    assert not_implemented(other, "/v1/responses") is other


def test_without_any_key_the_error_is_short_and_nothing_is_listed() -> None:
    configuration = CatalogSource(environ={}).build()
    catalog = ModelCatalog(())
    catalog.use_configuration(configuration)
    with pytest.raises(PlanError) as refused:
        Planner().plan(RoutingRequest(model="auto", text="hi"), catalog.snapshot)
    for problems in (lambda _key: None, configuration.problem_of):
        error = of_routing(refused.value, problems)
        assert error.status == 503
        assert len(error.message) <= 350, error.message
    assert "its provider has no key that can be used" in error.message
    assert "ANTHROPIC_API_KEY is not set" in error.message

    state = SimpleNamespace(catalog=catalog.snapshot, rules=NO_RULES)
    assert _usable(state) == []  # type: ignore[arg-type]
    catalog.use_configuration(CatalogSource(environ={"OPENAI_API_KEY": "key"}).build())
    listed = {name for name, _, _ in _usable(SimpleNamespace(catalog=catalog.snapshot, rules=NO_RULES))}  # type: ignore[arg-type]
    assert {"auto", "auto:complex", "gpt-4o", "gpt-4"} <= listed
    assert not any("claude" in name for name in listed)
