"""The task classifier on real questions that had no part in its weights, as docs/explanation/routing.md states."""

import importlib.util

import pytest
from support.repository import REPOSITORY

_FOLDER = REPOSITORY.parent / "shared/data"
_PROGRAM = REPOSITORY / "benchmarks/classifier.py"


@pytest.mark.skipif(not (_FOLDER / "prompts_mmlu.jsonl.gz").exists(), reason=f"no recorded questions in {_FOLDER}")
def test_levels_beat_the_most_frequent_label_and_harder_levels_fail_more_often() -> None:
    spec = importlib.util.spec_from_file_location("classifier", _PROGRAM)
    assert spec
    assert spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    found = program.questions(_FOLDER)
    assert found["questions"] > 5000
    assert found["level_accuracy"] > found["most_frequent_label"] + 0.04
    failures = found["failure_rate"]
    assert failures["simple"] < failures["medium"] < failures["complex"] - 0.1
