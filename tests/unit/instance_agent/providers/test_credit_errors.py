"""Errors about credit: of the account, or of one request that may cost more than is left."""

import pytest

from instance_agent.providers.classification import SETUP, classify
from instance_agent.providers.errors import Retry


@pytest.mark.parametrize(
    "message",
    [
        "This request requires more credits, or fewer max_tokens. You requested up to 65535 tokens, but can only afford 9",
        "Prompt tokens limit exceeded: you can only afford 200 tokens",
    ],
)
def test_a_request_that_is_too_large_for_the_credit_is_at_fault_and_not_the_account(message: str) -> None:
    found = classify(402, (), message)
    assert (found.error_kind, found.retry, found.status) == ("caller", Retry.CALLER, 402)


def test_an_account_without_credit_is_at_fault_itself() -> None:
    assert classify(402, (), "Insufficient credits. This account never purchased credits.") == SETUP
