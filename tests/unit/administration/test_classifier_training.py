"""Training of the task classifier: right on prompts that it has not seen, deterministic, and few prompts are refused."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest
from support.classifiers import a_classifier, labelled_rows, write_prompts

from centralcloud.administration.task_classifier.accuracy import measure
from centralcloud.administration.task_classifier.labelled_prompts import LabelledPrompt, read_prompts
from centralcloud.administration.task_classifier.training import FEWEST_PROMPTS, Training, train
from centralcloud.cli.classifier import print_training
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
    chinese = [
        LabelledPrompt(f"{chr(0x4E00 + number)}的快递还没有到", name, None) for number in range(40) for name in "ab"
    ]
    with pytest.raises(SettingsError, match=r"x: found no word that two prompts have, expected .* parted by spaces"):
        train([each._replace(text=each.text + each.task_type) for each in chinese], place="x")
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
    unpacked, renamed, marked = tmp_path / "unpacked.jsonl.gz", tmp_path / "renamed.jsonl", tmp_path / "marked.jsonl"
    unpacked.write_bytes(plain.read_bytes())
    renamed.write_bytes(packed.read_bytes())
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert read_prompts(unpacked) == read_prompts(renamed) == read_prompts(marked) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"prompt": "a", "task_type": "x"}\nnot json\n', "line 2: found a line that is not JSON"),
        ("[1]\n", "line 1: found JSON that is not an object"),
        ("\ufeff\ufeff{}\n", "line 1: found a line that is not JSON"),
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


def test_prompts_in_utf_16_are_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a", "task_type": "x"}\n', "utf-16")
    with pytest.raises(SettingsError, match="line 1: found UTF-16, expected UTF-8"):
        read_prompts(path)


def labels_by_chance(count: int) -> list[LabelledPrompt]:
    """Return prompts whose label does not follow from their words, and is `a` for most."""
    texts = [each.text for each in prompts(count, seed=8)]
    return [LabelledPrompt(text, "a" if crc32(text.encode()) % 5 else "b", None) for text in texts]


def test_a_classifier_that_is_worse_than_none_is_said_to_be_that(capsys: pytest.CaptureFixture[str]) -> None:
    training = train(labels_by_chance(300), place="x")
    assert training.task_types is not None
    assert training.task_types.accuracy < training.task_types.most_frequent
    print_training(training)
    assert "task type: always the most frequent label was right more often" in " ".join(capsys.readouterr().out.split())


def test_without_an_answer_that_is_sure_no_share_of_them_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    unsure = a_classifier({"court": (20, -20)}, least_confidence=1)
    result, _ = measure(unsure, [LabelledPrompt("the court", "law", None)], ("law", "music"), (), 1, 0)
    assert result is not None
    assert (result.sure_share, result.sure_accuracy) == (0, None)
    print_training(Training(b"", unsure, 1, 1, result, None))
    assert "none of the answers is sure enough to be used" in " ".join(capsys.readouterr().out.split())


def test_a_gateway_reads_a_classifier_without_numpy() -> None:
    code = "import sys, instance_agent.sync.classifier_updater; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
