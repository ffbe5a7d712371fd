"""Errors in the words of real services: whose failure, which class, which code, how long to wait."""

import json
import socket
import ssl
from typing import Any

import pytest
from support.chats import a_request, an_upstream

from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.providers.dialect import EmbeddingRequest
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.installed import BUILT_IN
from instance_agent.providers.transport import _reason

NOW = 1_800_000_000.0


def _error(dialect: str, status: int, body: Any, **headers: str) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BUILT_IN[dialect].read_error(an_upstream(dialect), status, headers, raw, NOW)


#: 403 and 404 in the words of real services, which are about the key, the account or the model; then others, which may be
#: about something that the request names. Dialect, status, code (of Google: the reason), message.
_SETUP = [
    ("openai", 403, "unsupported_country_region_territory", "Country, region, or territory not supported"),
    ("openai", 403, None, "You have insufficient permissions for this operation. Missing scopes: model.request"),
    ("openai", 403, 403, "Key limit exceeded (total limit). Manage it using https://openrouter.ai/keys"),
    ("openai", 403, "model_not_found", "Project `p` does not have access to model `m`"),
    ("openai", 404, "model_not_found", "The model `m` does not exist or you do not have access to it."),
    ("openai", 404, 404, "The model `m` does not exist."),
    ("openai", 404, 404, "No endpoints found for vendor/model:free."),
    ("openai", 404, "DeploymentNotFound", "The API deployment for this resource does not exist."),
    ("openai", 404, None, 'model "m" not found, try pulling it first'),
    ("anthropic", 403, "permission_error", "Your API key does not have permission to use the specified resource."),
    ("anthropic", 404, "not_found_error", "model: claude-0"),
    ("gemini", 403, "SERVICE_DISABLED", "Generative Language API has not been used in project 1 before"),
    ("gemini", 403, None, "Your API key was reported as leaked. Please use another API key."),
    ("gemini", 404, None, "models/m is not found for API version v1beta, or is not supported for generateContent."),
]
_DOUBTFUL = [
    ("openai", 403, None, "<html>Forbidden</html>"),
    ("openai", 404, 404, "No endpoints found that support image input"),
    ("openai", 404, 404, "No endpoints found matching your data policy."),
    ("openai", 404, "previous_response_not_found", "Previous response with id 'resp_1' not found."),
    ("openai", 404, None, "Not Found"),
    ("openai", 405, None, "Method Not Allowed"),
    ("anthropic", 404, "not_found_error", "File not found: file_1"),
    ("gemini", 403, None, "You do not have permission to access the File f or it may not exist."),
]


def _written(dialect: str, code: str | int | None, message: str) -> dict[str, Any]:
    if dialect == "gemini":
        return {"error": {"status": "PERMISSION_DENIED", "message": message, "details": [{"reason": code}]}}
    return {"error": {"type" if dialect == "anthropic" else "code": code, "message": message}}


@pytest.mark.parametrize(("dialect", "status", "code", "message"), _SETUP)
def test_a_403_or_404_that_names_the_key_the_account_or_the_model_is_the_setups(
    dialect: str, status: int, code: str | int | None, message: str
) -> None:
    found = _error(dialect, status, _written(dialect, code, message))

    assert (found.error_kind, found.retry, found.status) == ("provider", Retry.SETUP, 502)


@pytest.mark.parametrize(("dialect", "status", "code", "message"), _DOUBTFUL)
def test_another_403_404_or_405_may_be_the_requests_fault(
    dialect: str, status: int, code: str | int | None, message: str
) -> None:
    found = _error(dialect, status, _written(dialect, code, message))

    assert (found.error_kind, found.retry, found.status) == ("caller", Retry.SETUP, status)


@pytest.mark.parametrize(
    ("dialect", "status", "body", "kind", "retry", "code", "message"),
    [
        pytest.param(
            "openai",
            400,
            {
                "error": {
                    "message": "x",
                    "code": "content_filter",
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            "policy",
            "policy",
            "content_filter",
            "fake: HTTP 400: x",
            id="azure: content filter",
        ),
        pytest.param(
            "openai",
            403,
            {
                "error": {
                    "message": "flagged",
                    "code": 403,
                    "metadata": {"reasons": ["violence"], "flagged_input": "..."},
                }
            },
            "policy",
            "policy",
            "403",
            "fake: HTTP 403: flagged",
            id="openrouter: moderation",
        ),
        pytest.param(
            "openai",
            429,
            {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "slow down"}}},
            "provider",
            "refused",
            "429",
            "fake: HTTP 429: Provider returned error: slow down",
            id="openrouter: words of the provider behind it",
        ),
        pytest.param(
            "openai",
            402,
            {"error": {"message": "Insufficient credits", "code": 402}},
            "provider",
            "setup",
            "402",
            "fake: HTTP 402: Insufficient credits",
            id="openrouter: no credits",
        ),
        pytest.param(
            "openai",
            400,
            {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
            "caller",
            "caller",
            "400",
            "fake: HTTP 400: too long",
            id="vllm, older",
        ),
        pytest.param(
            "openai",
            404,
            {"error": "model 'x' not found"},
            "provider",
            "setup",
            None,
            "fake: HTTP 404: model 'x' not found",
            id="ollama",
        ),
        pytest.param(
            "openai",
            422,
            {"detail": [{"loc": ["body"], "msg": "bad"}]},
            "caller",
            "caller",
            None,
            'fake: HTTP 422: [{"loc":["body"],"msg":"bad"}]',
            id="a service on FastAPI",
        ),
        pytest.param(
            "openai",
            502,
            b"<html>\r\n<title>502 Bad Gateway</title>",
            "provider",
            "refused",
            None,
            "fake: HTTP 502: <html> <title>502 Bad Gateway</title>",
            id="a page of nginx",
        ),
        pytest.param("openai", 500, b"", "provider", "refused", None, "fake: HTTP 500", id="nothing"),
        pytest.param(
            "openai", 500, b"\xff\xfe", "provider", "refused", None, "fake: HTTP 500: \ufffd\ufffd", id="not a text"
        ),
        pytest.param(
            "anthropic",
            429,
            {
                "type": "error",
                "error": {
                    "type": "rate_limit_error",
                    "message": "limit",
                    "details": {"error_code": "enforced_spend_limit_reached"},
                },
            },
            "provider",
            "setup",
            "enforced_spend_limit_reached",
            "fake: HTTP 429: limit",
            id="anthropic: spend limit of the account",
        ),
        pytest.param(
            "anthropic",
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "provider",
            "refused",
            "overloaded_error",
            "fake: HTTP 529: Overloaded",
            id="anthropic: overloaded",
        ),
        pytest.param(
            "gemini",
            400,
            [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
            "provider",
            "setup",
            "INVALID_ARGUMENT",
            "fake: HTTP 400: API key not valid.",
            id="gemini: key, in a list",
        ),
        pytest.param(
            "gemini",
            400,
            {"error": {"code": 400, "message": "User location is not supported", "status": "FAILED_PRECONDITION"}},
            "provider",
            "setup",
            "FAILED_PRECONDITION",
            "fake: HTTP 400: User location is not supported",
            id="gemini: country",
        ),
        pytest.param(
            "openai",
            400,
            {"error": {"message": "Invalid value: 'credit balance is too low'", "code": "invalid_value"}},
            "caller",
            "caller",
            "invalid_value",
            "fake: HTTP 400: Invalid value: 'credit balance is too low'",
            id="a request that has the words of an account",
        ),
    ],
)
def test_the_words_of_a_service_are_understood(
    dialect: str, status: int, body: Any, kind: str, retry: str, code: str | None, message: str
) -> None:
    error = _error(dialect, status, body)

    assert (error.error_kind, str(error.retry), error.code, error.message) == (kind, retry, code, message)
    assert error.upstream_status == status


def test_the_wait_of_geminis_retry_info_is_read() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
    body = {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": [info]}}

    assert _error("gemini", 429, body).retry_after_seconds == 34.07
    assert _error("gemini", 429, body, **{"retry-after": "5"}).retry_after_seconds == 5.0


def test_the_wait_that_openrouter_repeats_in_the_error_is_read() -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((NOW + 12) * 1000))}
    body = {"error": {"message": "limit", "code": 429, "metadata": {"headers": headers}}}

    assert _error("openai", 429, body).retry_after_seconds == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("error", "kind", "retry", "status"),
    [
        ({"message": "x", "code": 429}, "provider", "refused", 429),
        ({"message": "x", "code": 504}, "timeout", "uncertain", 504),
        ({"message": "x", "code": 400}, "caller", "caller", 400),
        ({"message": "x", "type": "rate_limit_error"}, "provider", "refused", 429),
        ({"message": "x", "code": "content_policy_violation"}, "policy", "policy", 400),
        ({"message": "x", "code": "insufficient_quota"}, "provider", "setup", 502),
        ({"message": "x"}, "provider", "refused", 502),
        ("only words", "provider", "refused", 502),
    ],
)
@pytest.mark.parametrize("place", ["at the top", "in the choice"])
def test_an_error_in_a_200_answer_is_classed_by_its_code(
    error: Any, kind: str, retry: str, status: int, place: str
) -> None:
    body = {"error": error} if place == "at the top" else {"choices": [{"error": error, "message": {"content": ""}}]}

    with pytest.raises(ProviderError) as found:
        BUILT_IN["openai"].read_answer(an_upstream("openai"), json.dumps(body).encode())

    assert (found.value.error_kind, str(found.value.retry), found.value.status) == (kind, retry, status)
    assert found.value.upstream_status == 200


def test_what_a_dialect_does_not_have_is_refused_by_name() -> None:
    openai, anthropic, gemini = (BUILT_IN[name] for name in ("openai", "anthropic", "gemini"))
    with pytest.raises(UnsupportedFeatureError, match="count tokens"):
        openai.count_tokens(an_upstream("openai"), a_request(), "m")
    with pytest.raises(UnsupportedFeatureError, match="embeddings"):
        anthropic.embed(an_upstream("anthropic"), EmbeddingRequest(inputs=("a",)), "m")
    with pytest.raises(UnsupportedFeatureError, match="responses"):
        anthropic.forward(an_upstream("anthropic"), b"{}", "m", {}, "responses")
    with pytest.raises(UnsupportedFeatureError, match="gemini"):
        gemini.forward(an_upstream("gemini"), b"{}", "m", {})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(111, "Connect call failed ('10.0.0.7', 7801)"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "[SSL] wrong version number"), "[SSL] wrong version number"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('10.0.0.7', 7801)"), "OSError"),
    ],
)
def test_the_reason_of_a_failed_connection_has_no_address(error: OSError, words: str) -> None:
    assert _reason(error) == words


def test_the_reason_of_a_refused_certificate_has_no_address() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "IP address mismatch, certificate is not valid for '10.0.0.7'."
    assert _reason(error) == "IP address mismatch, certificate is not valid"
