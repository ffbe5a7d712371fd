"""The task classifier: deterministic, bounded, explained, and as accurate as its page says."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.repository import REPOSITORY

from centralcloud.contracts.task_classifier import TASK_TYPES, classify, level_of

REQUESTS = [json.loads(line) for line in (REPOSITORY / "tests/data/classifier_requests.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("complexity", "level"),
    [(1, "simple"), (2, "simple"), (3, "simple"), (4, "medium"), (5, "medium"), (6, "medium"), (7, "complex"),
     (8, "complex"), (9, "complex"), (10, "complex")],
)  # fmt: skip
def test_ten_complexities_are_three_levels(complexity: int, level: str) -> None:
    assert level_of(complexity) == level


@pytest.mark.parametrize(
    ("text", "task_type", "levels"),
    [
        ("Write a Python function to sort a list", "code_generation", {"simple"}),
        ("Analyze the pros and cons of microservices", "analysis", {"complex"}),
        ("Generate a creative marketing message for our new product", "creative", {"simple", "medium"}),
        ("Complete the sentence: The quick brown fox", "completion", {"simple"}),
        ("Prove that there are infinitely many primes, step by step", "reasoning", {"complex"}),
        ("Refactor this legacy module without changing its behaviour", "code_refactor", {"medium", "complex"}),
        ("Is Paris the capital of France?", "simple_query", {"simple"}),
        ("Fix this bug: the loop is off by one", "fix_bug", {"medium"}),
        ("Find the root cause of the 503 errors in production since yesterday", "investigate_error", {"medium", "complex"}),
        ("Look through these logs and list the anomalies", "analyze_logs", {"simple", "medium"}),
        ("Add 17 + 25.", "simple_query", {"simple"}),
        ("Add 17 and 25", "simple_query", {"simple"}),
        ("Sum 4, 5 and 6", "simple_query", {"simple"}),
        ("Add 5 tests", "code_generation", {"simple"}),
        ("Add 2 + 2 in Python", "code_generation", {"medium"}),
        ("Deploy the new version to production with a canary rollout", "deploy_code", {"medium"}),
    ],
)  # fmt: skip
def test_each_task_type_is_recognized(text: str, task_type: str, levels: set[str]) -> None:
    found = classify(text)
    assert (found.task_type, found.level in levels) == (task_type, True), found


def test_most_labelled_requests_are_classified_as_labelled() -> None:
    found = [(classify(row["text"]), row) for row in REQUESTS]
    right = sum(each.task_type == row["task_type"] for each, row in found)
    levels = sum(each.level == row["level"] for each, row in found)
    assert right >= 0.9 * len(REQUESTS)
    assert levels >= 0.75 * len(REQUESTS)


@given(st.text(max_size=300))
def test_any_text_gets_an_answer_within_the_limits(text: str) -> None:
    found = classify(text)
    assert 1 <= found.complexity <= 10
    assert found.level == level_of(found.complexity)
    assert found.task_type in TASK_TYPES
    assert 0 <= found.confidence <= 1
    assert found.reasons
    assert all(found.reasons)


@pytest.mark.parametrize("text", ["", " \n", "\ud800", "\x00" * 100, "?" * 50_000, "é" * 20_000, "日本語の質問です"])
def test_texts_without_known_words_are_classified_with_low_confidence(text: str) -> None:
    assert classify(text).confidence <= 0.5


def test_a_long_text_is_more_complex_than_its_start() -> None:
    request = "Summarize the key points of this report. "
    assert classify(request + "The committee met again on that day. " * 800).complexity > classify(request).complexity


def test_an_instruction_at_the_end_of_a_long_text_is_found() -> None:
    assert (
        classify("The committee met again on that day. " * 800 + "\nFix this bug: the code is broken").task_type
        == "fix_bug"
    )


def test_reasons_name_the_words_that_decided() -> None:
    reasons = classify("Prove the theorem step by step").reasons
    assert any('"prove"' in reason for reason in reasons)
    assert any("theorem" in reason for reason in reasons)


def test_another_process_gives_the_same_answers() -> None:
    """Sets of words have another order in each process: no answer may depend on it."""
    program = (
        "import json, sys\nfrom centralcloud.contracts.task_classifier import classify\n"
        "print(json.dumps([repr(classify(text)) for text in json.load(sys.stdin)]))"
    )
    texts = [row["text"] for row in REQUESTS] + [" ".join(row["text"] for row in REQUESTS)]
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=True,
            cwd=REPOSITORY,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        )
        assert json.loads(ran.stdout) == [repr(classify(text)) for text in texts]
