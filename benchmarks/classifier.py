"""Measure the task classifier, the table of words and a trained one, in one run: prints JSON.

    python benchmarks/classifier.py [FOLDER]

Task types: the labelled requests in tests/data/classifier_requests.jsonl, written together with the weights. Complexity: the
14,042 questions of MMLU in FOLDER (prompts_mmlu.jsonl.gz and outcomes_mmlu.csv.gz; default ../shared/data beside the
repository), whose label is by subject, and the failures of two models on them: harder levels should fail more often. Only
the half of the questions is used that had no part in the weights.

Trained: on four fifths of the same questions, with the 31 most frequent subjects and ``other`` as task types, measured on
the rest beside the table of words; how many answers are sure enough and right; and the processor time of loading it.

Time: processor time for a text of 20 kB and for a short request, the best of 5 runs; for 200 questions each, the best of 9.
"""

import csv
import gzip
import hashlib
import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from centralcloud.administration.task_classifier.labelled_prompts import LabelledPrompt
from centralcloud.administration.task_classifier.training import Training, train
from centralcloud.contracts.task_classifier import Classification, classify
from centralcloud.contracts.task_classifier.trained import TrainedClassifier, parse_classifier

_REPOSITORY = Path(__file__).resolve().parents[1]
_REQUESTS = _REPOSITORY / "tests/data/classifier_requests.jsonl"
_RECORDED = _REPOSITORY.parent / "shared/data"
_LEVELS = ("simple", "medium", "complex")


def held_out(item: str) -> bool:
    """Whether a question had no part in the weights."""
    return hashlib.md5(item.encode(), usedforsecurity=False).digest()[0] % 2 == 1


def _same_level(found: Classification, row: dict[str, Any]) -> bool:
    return bool(found.level == row["level"])


def requests() -> dict[str, Any]:
    """Return the accuracy on the labelled requests."""
    rows = [json.loads(line) for line in _REQUESTS.read_text().splitlines()]
    found = [classify(row["text"]) for row in rows]
    right = [each.task_type == row["task_type"] for each, row in zip(found, rows, strict=True)]
    confident = [ok for ok, each in zip(right, found, strict=True) if each.confidence >= 0.3]
    return {
        "requests": len(rows),
        "task_type_accuracy": round(sum(right) / len(rows), 3),
        "level_accuracy": round(sum(map(_same_level, found, rows)) / len(rows), 3),
        "confident_share": round(len(confident) / len(rows), 3),
        "confident_accuracy": round(sum(confident) / max(1, len(confident)), 3),
    }


def questions(folder: Path) -> dict[str, Any]:
    """Return the accuracy on MMLU, by the label of the subject and by the failures of the models."""
    label: dict[str, str] = {}
    failed: dict[str, int] = Counter()
    with gzip.open(folder / "outcomes_mmlu.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            label[row["item_id"]] = row["complexity"]
            failed[row["item_id"]] += 1 - int(float(row["success"]))
    matrix: dict[str, Counter[str]] = defaultdict(Counter)
    failures: dict[str, list[int]] = {level: [0, 0] for level in _LEVELS}
    types: Counter[str] = Counter()
    with gzip.open(folder / "prompts_mmlu.jsonl.gz", "rt") as stream:
        for line in stream:
            row = json.loads(line)
            if not held_out(row["item_id"]):
                continue
            found = classify(row["text"])
            types[found.task_type] += 1
            matrix[label[row["item_id"]]][found.level] += 1
            failures[found.level][0] += failed[row["item_id"]]
            failures[found.level][1] += 2
    total = sum(sum(row.values()) for row in matrix.values())
    return {
        "questions": total,
        "level_accuracy": round(sum(matrix[level][level] for level in _LEVELS) / total, 3),
        "most_frequent_label": round(max(sum(row.values()) for row in matrix.values()) / total, 3),
        "matrix": {level: {each: matrix[level][each] for each in _LEVELS} for level in _LEVELS},
        "failure_rate": {level: round(bad / calls, 3) if calls else None for level, (bad, calls) in failures.items()},
        "task_types": dict(types.most_common()),
    }


def labelled(folder: Path) -> list[LabelledPrompt]:
    """Return the questions with their subject as task type, and the level of the subject."""
    with gzip.open(folder / "outcomes_mmlu.csv.gz", "rt") as stream:
        level = {row["item_id"]: row["complexity"] for row in csv.DictReader(stream)}
    with gzip.open(folder / "prompts_mmlu.jsonl.gz", "rt") as stream:
        rows = [json.loads(line) for line in stream]
    return [LabelledPrompt(row["text"], row["task_type"], level[row["item_id"]]) for row in rows]


def trained(prompts: list[LabelledPrompt]) -> tuple[dict[str, Any], TrainedClassifier]:
    """Return the accuracy of a classifier that is trained now, and the classifier."""
    began = time.process_time()
    training = train(prompts, place="MMLU", on_progress=lambda text: print(text, file=sys.stderr))
    seconds = time.process_time() - began
    began = time.process_time()
    parse_classifier(training.data)
    loading = time.process_time() - began
    found: dict[str, Any] = {
        "prompts": training.prompts,
        "features": training.features,
        "kB": round(len(training.data) / 1000),
        "training_seconds": round(seconds, 1),
        "loading_ms": round(1000 * loading, 1),
    }
    return found | _accuracies(training), training.classifier


def _accuracies(training: Training) -> dict[str, Any]:
    names = ("held_out", "accuracy", "most_frequent", "by_words", "sure_share", "sure_accuracy")
    return {
        question: {name: getattr(result, name) for name in names} | {"labels": len(result.labels)}
        for question, result in (("task_type", training.task_types), ("level", training.levels))
        if result is not None
    }


def compared(prompts: list[LabelledPrompt], classifier: TrainedClassifier) -> dict[str, float]:
    """Return the processor time of a long question in microseconds, for both in turns: the mean of the best times."""
    texts = [each.text for each in prompts if len(each.text) >= 1_200][:200]
    typical = [each.text for each in prompts][:: len(prompts) // 200]
    found = {}
    for name, some in (("1,200 characters", texts), ("a typical question", typical)):
        best = {chosen: [float("inf")] * len(some) for chosen in (None, classifier)}
        for _ in range(9):
            for chosen, seconds in best.items():
                for place, text in enumerate(some):
                    began = time.process_time()
                    classify(text, chosen)
                    seconds[place] = min(seconds[place], time.process_time() - began)
        words, learned = (round(1e6 * sum(seconds) / len(some), 1) for seconds in best.values())
        found |= {f"{name}, words": words, f"{name}, trained": learned}
    return found


def microseconds(text: str) -> float:
    """Return the processor time of one answer, in microseconds: the best of 5 runs of 200."""
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(200):
            classify(text)
        best = min(best, (time.process_time() - started) / 200)
    return round(1e6 * best, 1)


def main() -> None:
    """Print the measurements."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _RECORDED
    rows = [json.loads(line)["text"] for line in _REQUESTS.read_text().splitlines()]
    long = (" ".join(rows) * 20)[:20_000]
    result: dict[str, Any] = {"labelled": requests()}
    if (folder / "prompts_mmlu.jsonl.gz").exists():
        result["mmlu"] = questions(folder)
        prompts = labelled(folder)
        result["trained"], classifier = trained(prompts)
        result["microseconds_compared"] = compared(prompts, classifier)
    else:
        print(f"{folder}: no MMLU questions there, only the labelled requests are measured", file=sys.stderr)
    result["microseconds_words"] = {"20 kB": microseconds(long), "a short request": microseconds(rows[0])}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
