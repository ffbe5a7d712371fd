"""Training of the task classifier: right on prompts that it has not seen, deterministic, and few prompts are refused."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.classifiers import labelled_rows, write_prompts

from centralcloud.administration.task_classifier.labelled_prompts import LabelledPrompt, read_prompts
from centralcloud.administration.task_classifier.training import FEWEST_PROMPTS, Training, train
from centralcloud.contracts import SettingsError
from centralcloud.contracts.task_classifier import classify


def prompts(count: int, seed: int = 0) -> list[LabelledPrompt]:
    return [LabelledPrompt(*row.values()) for row in labelled_rows(count, seed)]


@pytest.fixture(scope="module")
def training() -> Training:
    return train(prompts(300), place="prompts.jsonl")


def test_prompts_that_had_no_part_in_the_weights_are_classified_right(training: Training) -> None:
    for result in (training.task_types, training.levels):
        assert result is not None
        assert result.accuracy > 0.95
        assert result.sure_accuracy >= result.accuracy
        assert result.held_out + result.trained == 300
        assert sum(map(sum, result.confusion)) == result.held_out
        assert result.by_words < 0.7
    new = prompts(100, seed=5)
    found = [classify(each.text, training.classifier) for each in new]
    assert sum(a.task_type == b.task_type and a.level == b.level for a, b in zip(found, new, strict=True)) > 95
    assert len(training.data) < 10_000


def test_the_same_prompts_and_seed_give_the_same_bytes(training: Training) -> None:
    assert train(prompts(300), place="x").data == training.data
    assert train(prompts(300), place="x", seed=1).data != training.data


def test_probabilities_are_about_as_often_right_as_they_say() -> None:
    noisy = [
        each._replace(task_type="billing" if position % 5 == 0 else each.task_type)
        for position, each in enumerate(prompts(900))
    ]
    trained = train(noisy, place="x").classifier
    unseen = [
        each._replace(task_type="billing" if position % 5 == 0 else each.task_type)
        for position, each in enumerate(prompts(900, seed=3))
    ]
    answers = [(trained.predict(each.text).task_type, each.task_type) for each in unseen]
    sure = [(answer.confidence, answer.label == label) for answer, label in answers if answer is not None]
    assert abs(sum(each for each, _ in sure) - sum(right for _, right in sure)) / len(sure) < 0.1


def test_less_frequent_task_types_become_other(training: Training) -> None:
    some = prompts(300) + [LabelledPrompt(f"rare words {n % 9} {n}", f"rare-{n % 7}", None) for n in range(60)]
    trained = train(some, place="x").classifier
    assert trained.header.task_types is not None
    assert trained.header.task_types.answers == ("billing", "returns", "shipping", "other")
    two = train(some, place="x", task_types=2).classifier
    assert two.header.task_types is not None
    assert two.header.task_types.answers == ("billing", "other")
    assert training.classifier.header.task_types is not None
    assert "other" not in training.classifier.header.task_types.answers, "nothing was left over"


def test_a_word_of_a_single_prompt_is_not_kept(training: Training) -> None:
    with_secret = [*prompts(300)[:-1], LabelledPrompt("invoice refund xyzzy-7391", "billing", "simple")]
    trained = train(with_secret, place="x").classifier
    assert trained.predict("xyzzy-7391").known == 0
    assert trained.predict("invoice").known == 1


def test_too_few_prompts_are_refused_in_one_line() -> None:
    with pytest.raises(SettingsError) as refused:
        train(prompts(3 * FEWEST_PROMPTS - 3), place="few.jsonl")
    assert str(refused.value) == (
        "few.jsonl: found 57 labelled prompts and 0 task types with 20 or more, expected at least two task types or two "
        "complexities with 20 prompts each"
    )
    with pytest.raises(SettingsError, match="too much alike"):
        train([LabelledPrompt("the same", name, None) for name in "ab" * 40], place="x")


def test_prompts_are_read_from_json_lines_and_csv_also_gzipped(tmp_path: Path) -> None:
    rows = [
        {"prompt": "one", "task_type": "a", "complexity": 9},
        {"text": "two" * 1000, "taskType": "b", "complexity": "easy", "item_id": 3},
        {"prompt": "no label"},
    ]
    expected = [LabelledPrompt("one", "a", "complex"), LabelledPrompt("two" * 400, "b", "simple")]
    plain = write_prompts(tmp_path / "p.jsonl", rows)
    packed = tmp_path / "p.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    table = tmp_path / "p.csv"
    table.write_text(f'prompt,task_type,complexity\none,a,9\n"{"two" * 1000}",b,easy\nno label,,\n')
    assert read_prompts(plain) == read_prompts(packed) == read_prompts(table) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"prompt": "a", "task_type": "x"}\nnot json\n', "line 2: found a line that is not JSON"),
        ("[1]\n", "line 1: found JSON that is not an object"),
        ('{"task_type": "x"}\n', "line 1: found no prompt that is a text"),
        (json.dumps({"prompt": "a", "task_type": "x\x1b"}), 'line 1: task_type: found "x'),
        (
            '{"prompt": "a", "complexity": 11}\n',
            "line 1: complexity: found 11, expected simple, medium, complex, 1 to 10",
        ),
        ('{"prompt": "a", "complexity": true}\n', "line 1: complexity: found true"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    with pytest.raises(SettingsError, match=words):
        read_prompts(path)


def test_a_file_that_is_missing_or_cut_off_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.jsonl: No such file"):
        read_prompts(tmp_path / "none.jsonl")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"prompt": "a", "task_type": "x"}\n' * 1000)[:-20])
    with pytest.raises(SettingsError, match="damaged or cut off"):
        read_prompts(cut)


def test_a_gateway_reads_a_classifier_without_numpy() -> None:
    code = "import sys, instance_agent.sync.classifier_updater; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
