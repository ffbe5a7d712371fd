"""Numbers of providers: an implausible one is unknown, and never an exception."""

import json
import math
from typing import Any

import pytest
from support.chats import an_upstream

from instance_agent.providers.errors import ProviderError
from instance_agent.providers.installed import BUILT_IN
from instance_agent.providers.numbers import MOST_TOKENS, MOST_USD, nano_usd, token_count

IMPLAUSIBLE = [-1, 10**18, 10**400, -(10**400), 1e300, math.inf, -math.inf, math.nan, True, "5", None, [], {}]


@pytest.mark.parametrize("value", IMPLAUSIBLE, ids=str)
def test_an_implausible_number_is_unknown(value: Any) -> None:
    assert token_count(value) is None
    assert nano_usd(value) is None


def test_plausible_numbers_are_known_up_to_their_bounds() -> None:
    assert [token_count(value) for value in (0, 5, 5.0, MOST_TOKENS, MOST_TOKENS + 1, 5.5)] == [
        0, 5, 5, MOST_TOKENS, None, None,
    ]  # fmt: skip
    assert [nano_usd(value) for value in (0, 0.25, 1e-9, MOST_USD, MOST_USD + 1)] == [
        0, 250_000_000, 1, MOST_USD * 10**9, None,
    ]  # fmt: skip


@pytest.mark.parametrize(("dialect", "field"), [("anthropic", "input_tokens"), ("gemini", "totalTokens")])
@pytest.mark.parametrize("count", [10**30, 1e300, -5])
def test_an_implausible_count_of_tokens_is_an_answer_that_cannot_be_read(dialect: str, field: str, count: Any) -> None:
    with pytest.raises(ProviderError, match=f"found an answer without {field}"):
        BUILT_IN[dialect].read_token_count(an_upstream(dialect), json.dumps({field: count}).encode())
