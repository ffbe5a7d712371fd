"""The log of requests: the client's path, where there is no route for it."""

import pytest

from instance_agent.gateway.request_log import shown_path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/v1/chat/completions", "/v1/v1/chat/completions"),
        ("/openai/deployments/gpt-4o/chat/completions", "/openai/deployments/gpt-4o/chat/completions"),
        ("/a\r\nb\x1b[2J", "/a b [2J"),
        ("/v1/sk-proj-abcdef123456/chat", "/v1/***/chat"),
        ("/v1/cck_93f50886f1c3_secret/chat", "/v1/***/chat"),
        ("/k/0123456789abcdef0123456789abcdef", "/k/***"),
        ("/x" * 5000, "/x" * 100),
        ("/" + "ab/" * 64 + "sk-proj-abcdef123456", "/" + "ab/" * 64 + "***"),
    ],
)
def test_a_path_without_a_route_is_shown_cut_and_without_keys(path: str, shown: str) -> None:
    assert shown_path(path) == shown
