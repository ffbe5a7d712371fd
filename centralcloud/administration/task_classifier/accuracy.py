"""The accuracy of a trained classifier: its answers to prompts that were held out, compared with their labels."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from centralcloud.administration.task_classifier.labelled_prompts import LabelledPrompt
from centralcloud.contracts.task_classifier import classify
from centralcloud.contracts.task_classifier.trained import Answer, TrainedClassifier
from centralcloud.contracts.task_score import OTHER_TASK_TYPE


class LabelResult(Struct, frozen=True):
    """How well one label is found among the prompts that were held out.

    Attributes:
        prompts: that have the label.
        found: share of them that the classifier gives it to.
        right: share of its answers with this label that are right; None: it never gives it.
        taken_for: the other label that they get most often; None: none.
    """

    label: str
    prompts: int
    found: float
    right: float | None
    taken_for: str | None


class HeadResult(Struct, frozen=True):
    """The accuracy of one question, on the prompts that were held out.

    Attributes:
        trained, held_out: prompts with a label.
        accuracy: share of right answers.
        most_frequent: that of always answering with the most frequent label.
        by_words: that of the table of words.
        sure_share, sure_accuracy: of the answers that are used: those with the least confidence or more. Without any, the
            accuracy is None.
        labels: each with its own numbers.
        confusion: row by row, how often a label got each answer, in the order of `labels`.
    """

    trained: int
    held_out: int
    accuracy: float
    most_frequent: float
    by_words: float
    sure_share: float
    sure_accuracy: float | None
    labels: tuple[LabelResult, ...]
    confusion: tuple[tuple[int, ...], ...]


class _Asked(NamedTuple):
    """A prompt: the position of its label, the classifier's answer, and that of the table of words."""

    label: int
    answer: Answer | None
    word: str


def measure(
    classifier: TrainedClassifier,
    prompts: Sequence[LabelledPrompt],
    type_names: tuple[str, ...],
    level_names: tuple[str, ...],
    types_trained: int,
    levels_trained: int,
) -> tuple[HeadResult | None, HeadResult | None]:
    """Ask the classifier as a gateway does, and compare; None for a question with fewer than two labels.

    Args:
        prompts: that had no part in its weights.
        type_names, level_names: the labels of each question.
        types_trained, levels_trained: prompts that it was trained on.
    """
    least = classifier.header.least_confidence
    types: list[_Asked] = []
    levels: list[_Asked] = []
    for prompt in prompts:
        found, word = classifier.predict(prompt.text), classify(prompt.text)
        types.append(_Asked(position_of(prompt.task_type, type_names), found.task_type, word.task_type))
        levels.append(_Asked(position_of(prompt.level, level_names), found.level, word.level))
    return _result(type_names, types, types_trained, least), _result(level_names, levels, levels_trained, least)


def position_of(name: str | None, names: tuple[str, ...]) -> int:
    """Return the position of a label; -1: it has none, or none that is learned."""
    if name is None:
        return -1
    if name in names:
        return names.index(name)
    return names.index(OTHER_TASK_TYPE) if OTHER_TASK_TYPE in names else -1


def _result(names: tuple[str, ...], asked: list[_Asked], trained: int, least: float) -> HeadResult | None:
    if len(names) < 2:
        return None
    labelled = [each for each in asked if each.label >= 0]
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    sure = sure_right = 0
    for label, answer, _ in labelled:
        if answer is None:
            continue
        confusion[label, names.index(answer.label)] += 1
        if answer.confidence >= least:
            sure += 1
            sure_right += answer.label == names[label]
    total = max(1, len(labelled))
    counts = Counter(each.label for each in labelled)
    return HeadResult(
        trained=trained,
        held_out=len(labelled),
        accuracy=round(int(confusion.trace()) / total, 4),
        most_frequent=round(max(counts.values(), default=0) / total, 4),
        by_words=round(sum(each.word == names[each.label] for each in labelled) / total, 4),
        sure_share=round(sure / total, 4),
        sure_accuracy=round(sure_right / sure, 4) if sure else None,
        labels=tuple(_label_result(names, confusion, at, counts[at]) for at in range(len(names))),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
    )


def _label_result(names: tuple[str, ...], confusion: NDArray[np.int64], at: int, prompts: int) -> LabelResult:
    given, hits = int(confusion[:, at].sum()), int(confusion[at, at])
    others = confusion[at].copy()
    others[at] = 0
    worst = int(others.argmax())
    return LabelResult(
        label=names[at],
        prompts=prompts,
        found=round(hits / max(1, prompts), 4),
        right=round(hits / given, 4) if given else None,
        taken_for=names[worst] if others[worst] else None,
    )
