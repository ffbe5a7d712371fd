"""Training of the task classifier: labelled prompts -> weights, with its accuracy on prompts that had no part in them.

Multinomial logistic regression on hashed words and word pairs, one pass over the prompts after the other, each feature with
a step of its own (AdaGrad). The same prompts and the same seed give the same bytes. A fifth of the prompts, chosen by a hash
of their text so that equal ones stay together, is held out: they measure what is stored, and set how sure it is.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centralcloud.administration.task_classifier.accuracy import HeadResult, measure, position_of
from centralcloud.administration.task_classifier.labelled_prompts import LabelledPrompt
from centralcloud.contracts import SettingsError
from centralcloud.contracts.limits import COMPLEXITIES
from centralcloud.contracts.task_classifier.features import hash_features
from centralcloud.contracts.task_classifier.trained import (
    Head,
    TrainedClassifier,
    encode_classifier,
    parse_classifier,
)
from centralcloud.contracts.task_score import MAX_TASK_TYPES, OTHER_TASK_TYPE
from centralcloud.runtime.wording import counted

#: A label with fewer prompts cannot be learned.
FEWEST_PROMPTS: Final = 20
#: Features that are kept, the most frequent ones. On MMLU four times as many are right as often, and take twice as long:
#: their weights do not fit into a processor's cache. With 32 task types and 3 levels they need 1 MB, and 5 MB in memory.
_MOST_FEATURES: Final = 25_000
_FEWEST_USES: Final = 2
_EPOCHS: Final = 5
_RATE: Final = 1.0
_BIAS_RATE: Final = 0.1
_HELD_OUT: Final = 5
_TEMPERATURES: Final = tuple(1.15**power for power in range(-12, 13))

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


class Training(NamedTuple):
    """The result of a training.

    Attributes:
        data: the classifier as bytes.
        classifier: the same, ready to answer.
        prompts: that were read.
        features: with weights.
        task_types, levels: the accuracy of each question; None: it is not answered.
    """

    data: bytes
    classifier: TrainedClassifier
    prompts: int
    features: int
    task_types: HeadResult | None
    levels: HeadResult | None


def train(
    prompts: Sequence[LabelledPrompt],
    *,
    place: str,
    task_types: int = MAX_TASK_TYPES,
    least_confidence: float = 0.5,
    seed: int = 0,
    on_progress: Callable[[str], object] | None = None,
) -> Training:
    """Train a classifier.

    Args:
        prompts: with labels.
        place: where they are from, for errors.
        task_types: most task types, 2 to 32; the less frequent ones become ``other``.
        least_confidence: an answer below this probability is left to the table of words.
        seed: of the order of the prompts.
        on_progress: called with what is done now, in words.

    Raises:
        SettingsError: there are too few prompts.
    """
    say = on_progress or _quiet
    say(f"reading {counted(len(prompts), 'prompt')}")
    type_names = _names([each.task_type for each in prompts], task_types)
    level_names = tuple(name for name in COMPLEXITIES if sum(each.level == name for each in prompts) >= FEWEST_PROMPTS)
    if len(type_names) < 2 and len(level_names) < 2:
        raise SettingsError(_too_few(prompts, place))
    held_out = np.array([_is_held_out(each.text) for each in prompts], dtype=bool)
    hashes, texts = _features(prompts, held_out)
    if not len(hashes):
        raise SettingsError(
            f"{place}: found no word that two prompts have, expected prompts of words parted by spaces: texts in a language "
            "without them cannot be learned"
        )
    rng = np.random.default_rng(seed)
    parts: list[_Part] = []
    for names, labels in (
        (type_names, [position_of(each.task_type, type_names) for each in prompts]),
        (level_names, [position_of(each.level, level_names) for each in prompts]),
    ):
        parts.append(_part(names, labels, texts, held_out, len(hashes), rng, say, place))
    types, levels = parts
    weights = np.concatenate([each.quantised for each in parts], axis=1)
    kept = np.flatnonzero((weights != _ZERO).any(axis=1))
    data = encode_classifier(
        hashes=[int(each) for each in hashes[kept]],
        weights=weights[kept].tobytes(),
        task_types=types.head,
        levels=levels.head,
        least_confidence=least_confidence,
    )
    say("measuring the prompts that were held out")
    classifier = parse_classifier(data)
    asked = [prompt for prompt, out in zip(prompts, held_out, strict=True) if out]
    measured = measure(classifier, asked, type_names, level_names, types.trained, levels.trained)
    return Training(data, classifier, len(prompts), len(kept), *measured)


_ZERO: Final = 128


class _Part(NamedTuple):
    """One trained question: its head, and a byte for each feature and answer."""

    head: Head | None
    quantised: NDArray[np.uint8]
    trained: int


def _part(
    names: tuple[str, ...],
    labels: list[int],
    texts: list[_Ints],
    held_out: NDArray[np.bool_],
    features: int,
    rng: np.random.Generator,
    say: Callable[[str], object],
    place: str,
) -> _Part:
    if len(names) < 2:
        return _Part(None, np.empty((features, 0), dtype=np.uint8), 0)
    wanted = np.array(labels)
    usable = np.array([len(each) > 0 for each in texts]) & (wanted >= 0)
    learned, asked = np.flatnonzero(usable & ~held_out), np.flatnonzero(usable & held_out)
    if not len(asked) or len(set(wanted[learned])) < 2:
        raise SettingsError(
            f"{place}: the prompts are too much alike: expected at least {FEWEST_PROMPTS} different ones a label"
        )
    weights, biases = _fit(texts, wanted, learned, len(names), features, rng, say)
    scale = float(np.abs(weights).max()) / 127 or 1.0
    quantised = np.clip(np.rint(weights / scale), -127, 127)
    sums = np.array([quantised[texts[at]].sum(axis=0) * (scale / np.sqrt(len(texts[at]))) for at in asked]) + biases
    factor = 1 / _temperature(sums, wanted[asked])
    head = Head(answers=names, biases=tuple(float(each) * factor for each in biases), scale=scale * factor)
    return _Part(head, (quantised + _ZERO).astype(np.uint8), len(learned))


def _fit(
    texts: list[_Ints],
    wanted: _Ints,
    learned: _Ints,
    answers: int,
    features: int,
    rng: np.random.Generator,
    say: Callable[[str], object],
) -> tuple[_Floats, _Floats]:
    """Return weights and biases. A step of a feature is divided by the root of the sum of its squared gradients."""
    weights = np.zeros((features, answers), dtype=np.float32)
    squares = np.full(features, 1e-2, dtype=np.float32)
    biases = np.zeros(answers, dtype=np.float32)
    bias_squares = 1.0
    for epoch in range(_EPOCHS):
        say(f"training {counted(answers, 'answer')}, pass {epoch + 1} of {_EPOCHS}")
        for at in rng.permutation(learned):
            found = texts[at]
            factor = np.float32(1 / np.sqrt(len(found)))
            gradient = weights[found].sum(axis=0) * factor + biases
            np.exp(gradient - gradient.max(), out=gradient)
            gradient /= gradient.sum()
            gradient[wanted[at]] -= 1
            size = float(gradient @ gradient)
            squares[found] += size * factor * factor
            bias_squares += size
            steps = (_RATE * factor) / np.sqrt(squares[found])
            weights[found] -= steps[:, None] * gradient
            biases -= (_BIAS_RATE / bias_squares**0.5) * gradient
    return weights, biases


def _temperature(sums: NDArray[Any], wanted: _Ints) -> float:
    """Return the number that the sums are divided by, so that probabilities are as likely right as they say."""

    def loss(temperature: float) -> float:
        scaled = sums / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        logs = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(wanted)), wanted]
        return float(logs.mean())

    return min(_TEMPERATURES, key=loss)


def _features(prompts: Sequence[LabelledPrompt], held_out: NDArray[np.bool_]) -> tuple[NDArray[np.uint32], list[_Ints]]:
    """Return the hashes that are kept, the most frequent first, and for each prompt the positions of its features in them.

    A feature of a single prompt teaches nothing about another one, and is not kept: nor is a word that only one text has.
    """
    found = [np.fromiter(set().union(*hash_features(each.text)), dtype=np.uint32) for each in prompts]
    uses: Counter[int] = Counter()
    for each, out in zip(found, held_out, strict=True):
        if not out:
            uses.update(each.tolist())
    frequent = sorted(((-count, key) for key, count in uses.items() if count >= _FEWEST_USES))[:_MOST_FEATURES]
    hashes = np.array([key for _, key in frequent], dtype=np.uint32)
    positions = {int(key): position for position, key in enumerate(hashes)}
    texts = [
        np.array(sorted(positions[key] for key in each.tolist() if key in positions), dtype=np.int64) for each in found
    ]
    return hashes, texts


def _is_held_out(text: str) -> bool:
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return int.from_bytes(digest[:4], "little") % _HELD_OUT == 0


def _names(labels: Sequence[str | None], most: int) -> tuple[str, ...]:
    """Return the task types that are learned: the most frequent ones, with ``other`` for the rest where it has enough."""
    counts = Counter(each for each in labels if each is not None)
    ranked = [
        name for name, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0])) if name != OTHER_TASK_TYPE
    ]
    frequent = [name for name in ranked if counts[name] >= FEWEST_PROMPTS]
    has_rest = len(frequent) < len(ranked) or OTHER_TASK_TYPE in counts
    kept = frequent if len(frequent) + has_rest <= most else frequent[: most - 1]
    rest = sum(counts.values()) - sum(counts[name] for name in kept)
    return (*kept, OTHER_TASK_TYPE) if rest >= FEWEST_PROMPTS else tuple(kept)


def _too_few(prompts: Sequence[LabelledPrompt], place: str) -> str:
    types = Counter(each.task_type for each in prompts if each.task_type is not None)
    enough = sum(count >= FEWEST_PROMPTS for count in types.values())
    return (
        f"{place}: found {counted(len(prompts), 'labelled prompt')} and {counted(enough, 'task type')} with "
        f"{FEWEST_PROMPTS} or more, expected at least two task types or two complexities with {FEWEST_PROMPTS} prompts each"
    )


def _quiet(_: str) -> None:
    pass
