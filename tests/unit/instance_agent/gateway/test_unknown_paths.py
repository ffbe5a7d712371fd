"""The 404 of a client with a wrong base_url says how to set it."""

import pytest

from instance_agent.gateway.unknown_paths import unknown_path

KNOWN = {
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/v1/models/{id}",
    "/health",
}


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/chat/completions", "base_url of this client must end with /v1"),
        ("/models/", "base_url of this client must end with /v1"),
        ("/models/openai/gpt-4o", "base_url of this client must end with /v1"),
        ("/v1/v1/messages", "base_url of this client must not end with /v1: it adds /v1 itself"),
        ("/v1/v1/models", "base_url of this client must not end with /v1: it adds /v1 itself"),
        ("/v1//v1/messages/count_tokens", "base_url of this client must not end with /v1: it adds /v1 itself"),
        ("/v1/v1/chat/completions", "base_url of this client must end with /v1 once"),
    ],
)
def test_a_wrong_base_url_is_named_with_the_path(path: str, advice: str) -> None:
    error = unknown_path(path, KNOWN)
    assert (error.status, error.code) == (404, "not_found")
    assert error.message.startswith(f'not found: "{path}", expected ')
    assert error.message.endswith(advice)


def test_another_path_is_named_with_those_that_are_there() -> None:
    assert unknown_path("/v1/images", KNOWN).message == (
        'not found: "/v1/images"; the paths here are /v1/chat/completions, /v1/messages, /v1/messages/count_tokens, '
        "/v1/models, /v1/models/{id}"
    )
    assert len(unknown_path("/" + "x" * 10_000, KNOWN).message) < 400
