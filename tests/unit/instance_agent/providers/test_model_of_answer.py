"""The model that an answer names, and the fingerprint of the service's build, whole and streamed."""

from typing import Any

import pytest

from instance_agent.chat.answers import Started
from instance_agent.execution.attempts import Attempt, AttemptRecorder
from instance_agent.providers.openai.answer import OpenAIStreamReader, read_answer

UPSTREAM: Any = None
HEAD = b'{"id": "1", "model": "gpt-4o-2024-11-20", "system_fingerprint": %s, "choices": [%s]}'


@pytest.mark.parametrize(
    ("written", "fingerprint"), [(b'"fp_1"', "fp_1"), (b"null", None), (b"7", None), (b'""', None)]
)
def test_an_answer_names_its_model_and_the_fingerprint_is_apart(written: bytes, fingerprint: str | None) -> None:
    answer = read_answer(UPSTREAM, HEAD % (written, b'{"message": {"content": "x"}, "finish_reason": "stop"}'))
    assert (answer.model, answer.fingerprint) == ("gpt-4o-2024-11-20", fingerprint)
    events = OpenAIStreamReader(UPSTREAM).feed(b"data: " + HEAD % (written, b'{"delta": {"content": "x"}}') + b"\n\n")
    assert events[0] == Started("1", "gpt-4o-2024-11-20", fingerprint=fingerprint)


@pytest.mark.parametrize(("model", "version"), [("m-1", "m-1"), ("", None)])
def test_the_record_of_an_attempt_has_the_model_of_its_answer(model: str, version: str | None) -> None:
    records: list[Attempt] = []
    call: Any = type("Call", (), {"propensity": None, "target": type("Target", (), {"prices": None})})
    recorder = AttemptRecorder(call, "r", 1, streamed=False, clock=lambda: 0.0, on_record=records.append)
    recorder.answered_by(model, "fp_1")
    recorder.abandoned("gone")
    assert (records[0].model_version, records[0].fingerprint) == (version, "fp_1")
