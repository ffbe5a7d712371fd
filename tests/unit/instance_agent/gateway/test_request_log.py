"""The log of requests: the client's path, where there is no route for it."""

import pytest

from instance_agent.gateway.request_log import shown_path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/v1/chat/completions", "/v1/v1/chat/completions"),
        ("/openai/deployments/gpt-4o/chat/completions", "/openai/deployments/gpt-4o/chat/completions"),
        ("/v1beta/models/claude-3-5-sonnet", "/v1beta/models/claude-3-5-sonnet"),
        ("/a\r\nb\x1b[2J/chat", "/***/chat"),
        ("/jane.doe@example.com/4111111111111111/users", "/***/***/users"),
        ("/Tell me a secret", "/***"),
        ("/v1/sk-proj-abcdef123456/chat", "/v1/***/chat"),
        ("/v1/cck_93f50886f1c3_secret/chat", "/v1/***/chat"),
        ("/k/0123456789abcdef0123456789abcdef", "/k/***"),
        ("/x" * 5000, "/x" * 100),
    ],
)
def test_a_path_without_a_route_is_shown_cut_and_by_its_words_of_an_api(path: str, shown: str) -> None:
    assert shown_path(path) == shown
