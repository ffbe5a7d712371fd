"""The record of an attempt: handed over once, with what is known and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instance_agent.chat.answers import Usage
from instance_agent.chat.errors import ChatError
from instance_agent.execution.attempts import Attempt, AttemptRecorder
from instance_agent.execution.planned import PlannedCall
from instance_agent.providers.errors import ProviderError, Retry

Planned = Callable[..., PlannedCall]
OUTCOMES = ("succeeded", "failed", "abandoned")


class Recording:
    """A recorder with a clock that is set by hand."""

    def __init__(self, call: PlannedCall, number: int = 1) -> None:
        self.records: list[Attempt] = []
        self.now = 100.0
        self.recorder = AttemptRecorder(
            call, "r-1", number, streamed=True, clock=lambda: self.now, on_record=self.records.append
        )

    def report(self, outcome: str) -> Any:
        if outcome == "succeeded":
            return self.recorder.succeeded(Usage(input_tokens=1, output_tokens=1), "stop", estimates=(9, 9))
        if outcome == "failed":
            return self.recorder.failed(ChatError("x", error_kind="provider", status=502))
        return self.recorder.abandoned("gone", estimates=(9, 9))


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=8))
def test_whatever_is_reported_the_first_outcome_is_recorded_and_no_other(outcomes: list[str]) -> None:
    recording = Recording(_CALL)
    results = [recording.report(outcome) for outcome in outcomes]
    assert len(recording.records) == 1
    assert results[0] is recording.records[0]
    assert results[1:] == [None] * (len(outcomes) - 1)
    assert recording.records[0].outcome == ("success" if outcomes[0] == "succeeded" else "failure")


def test_times_are_from_the_start_in_milliseconds(planned: Planned) -> None:
    recording = Recording(planned("a"))
    recording.now = 100.25
    recording.recorder.first_token()
    recording.now = 101.5
    recording.recorder.first_token()
    recording.report("succeeded")
    assert (recording.records[0].first_token_ms, recording.records[0].response_time_ms) == (250, 1500)


def test_a_client_that_has_gone_and_an_error_of_the_caller_have_no_times(planned: Planned) -> None:
    gone = Recording(planned("a"))
    gone.recorder.first_token()
    gone.report("abandoned")
    bad = Recording(planned("a"))
    bad.recorder.failed(ChatError("x", error_kind="caller", status=400))
    for record in (gone.records[0], bad.records[0]):
        assert (record.error_kind, record.response_time_ms, record.first_token_ms) == ("caller", None, None)


def test_only_the_first_attempt_has_a_propensity(planned: Planned) -> None:
    call = planned("a", propensity=0.4)
    for number, expected in ((1, 0.4), (2, None), (3, None)):
        recording = Recording(call, number)
        recording.report("succeeded")
        assert recording.records[0].propensity == expected


def test_each_attempt_is_a_decision_of_its_own(planned: Planned) -> None:
    ids = {Recording(planned("a")).recorder.decision_id for _ in range(100)}
    assert len(ids) == 100


@pytest.mark.parametrize("retry", [Retry.REFUSED, Retry.UNCERTAIN])
def test_a_failure_keeps_the_class_and_status_of_its_error(planned: Planned, retry: Retry) -> None:
    recording = Recording(planned("a"))
    error = ProviderError("p: x", provider="p", error_kind="timeout", retry=retry, upstream_status=504)
    recording.recorder.failed(error)
    (record,) = recording.records
    assert (record.error_kind, record.retry, record.http_status, record.error) == ("timeout", retry, 504, "p: HTTP 504")
    assert record.usage is None
    assert record.cost.nano_usd is None


def _call() -> PlannedCall:
    from instance_agent.catalog.model import Model
    from instance_agent.execution.targets import CallTarget
    from instance_agent.providers.installed import dialect
    from instance_agent.providers.upstream import Upstream

    upstream = Upstream(provider="p", dialect="openai", base_url="http://h/v1")
    return PlannedCall(target=CallTarget("m@p", Model(name="m", provider="p"), dialect("openai"), upstream))


_CALL = _call()
