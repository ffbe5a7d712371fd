"""A program that routes in its own process uses the trained classifier that its state folder has, and none without it."""

import hashlib
from pathlib import Path

import pytest
from support.classifiers import classifier_bytes

from instance_agent import IntelligentModelRouter, RoutedAgent, TaskType, UnifiedModelClient
from instance_agent.client import decisions
from instance_agent.sync.classifier_file import ClassifierFile, ReceivedClassifier

_PROMPT = "The parcel is in the warehouse"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClassifierFile:
    """The file of the process' state folder, at which a router looks with each request."""
    monkeypatch.setenv("INSTANCE_AGENT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("INSTANCE_AGENT_CATALOG", raising=False)
    monkeypatch.setattr(decisions, "_LOOK_SECONDS", 0.0)
    return ClassifierFile(tmp_path)


def received(version: int, *task_types: str) -> ReceivedClassifier:
    data = classifier_bytes(
        {"parcel": (100, -100, -100, 0, 100)}, task_types=task_types, levels=("simple", "medium", "complex")
    )
    return ReceivedClassifier(version=version, sha256=hashlib.sha256(data).hexdigest(), data=data)


def test_a_router_uses_the_classifier_of_its_state_folder_as_soon_as_it_changes(state: ClassifierFile) -> None:
    router = IntelligentModelRouter()
    by_words = router.route(_PROMPT)
    state.write(received(1, "shipping", "law"))
    trained = router.route(_PROMPT)
    assert (trained["task_type"], trained["complexity"]) == ("shipping", 8)
    assert IntelligentModelRouter().route(_PROMPT)["task_type"] == "shipping", "from the start on"
    assert router.route(_PROMPT, "creative", 2)["task_type"] == "creative", "the caller's word counts"
    state.write(ReceivedClassifier())
    assert router.route(_PROMPT) == by_words
    state.path.write_bytes(b"damaged")
    assert router.route(_PROMPT) == by_words


def test_an_agent_takes_a_type_of_its_own_from_the_trained_classifier_or_from_the_table(state: ClassifierFile) -> None:
    types = (TaskType.CODE_GENERATION, TaskType.CODE_REFACTOR)
    prompt = "Refactor the parcel class"

    def type_of(classifier: ReceivedClassifier) -> str:
        state.write(classifier)
        with UnifiedModelClient() as client:
            return str(RoutedAgent("coder", types, client=client)._type_of(prompt))

    by_words = type_of(ReceivedClassifier())
    assert by_words == "code_refactor"
    assert type_of(received(1, "code_generation", "code_refactor")) == "code_generation"
    assert type_of(received(2, "shipping", "law")) == by_words, "none of the agent's types was trained"
