"""The task classifier: the text of a request -> task type, complexity, confidence, and the reasons in words.

Deterministic and pure: the same text gives the same answer on every instance and in every process. A trained classifier
answers where it is sure enough; a table of words answers the rest, and everything where none was trained.

The table reads words, not meaning: an answer is a guess for requests whose caller says nothing, and its confidence says how
good a guess. At most 2,400 characters are read, from the start and the end of the text, where instructions stand; the length
counts in full.
"""

import re
from math import fsum
from typing import Final, Literal

from msgspec import Struct

from centralcloud.contracts.task_classifier import weights
from centralcloud.contracts.task_classifier.trained import Answer, TrainedClassifier

Level = Literal["simple", "medium", "complex"]

TASK_TYPES: Final = tuple(weights.TASK_TYPES)
#: Names the table of weights; it changes with it.
CLASSIFIER_VERSION: Final = "words-2"

_HEAD, _TAIL = 1_600, 800
#: The words of an instruction at the start, which count double.
_FIRST_WORDS: Final = 25
_BASE_POINTS: Final = 4.0
#: Bytes are translated and searched several times as fast as text.
_PUNCTUATION: Final = b"!\"#$%&'()*+,./:;<=>?@[\\]^_`{|}~\n\r\t"
_WORDS_ONLY: Final = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))
_LIST_MARK: Final = re.compile(rb"\n(?:[-*] |[1-5]\.)")
_OPERATORS: Final = b"=^+*/<>"
_MOST_REASONS: Final = 4
#: For an answer without any evidence.
_LOWEST_CONFIDENCE: Final = 0.1


class Classification(Struct, frozen=True, gc=False):
    """The classifier's answer.

    Attributes:
        complexity: 1 to 10.
        level: ``simple`` (1 to 3), ``medium`` (4 to 6) or ``complex`` (7 to 10).
        task_type: one of `TASK_TYPES`.
        confidence: in the task type, 0 to 1: the probability that the trained classifier gives it; where the table has
            answered, the lead of the best task type over the second one.
        reasons: in words, the strongest first.
        classifier: names what has decided on the complexity, with its version.
        type_classifier: names what has decided on the task type.
    """

    complexity: int
    level: Level
    task_type: str
    confidence: float
    reasons: tuple[str, ...]
    classifier: str = CLASSIFIER_VERSION
    type_classifier: str = CLASSIFIER_VERSION


def level_of(complexity: float) -> Level:
    """Return the level of a complexity from 1 to 10."""
    return "simple" if complexity < 4 else "medium" if complexity < 7 else "complex"


def classify(text: str, trained: TrainedClassifier | None = None) -> Classification:
    """Return the task type and the complexity of a request. Takes less than 0.2 ms for any length.

    Args:
        text: the request; usually the last messages of the user.
        trained: answers first; an answer below its least confidence is replaced by that of the table. None: the table
            answers.
    """
    if trained is None:
        return _by_words(text)
    found, least = trained.predict(text), trained.header.least_confidence
    task_type = found.task_type if found.task_type is not None and found.task_type.confidence >= least else None
    level = found.level if found.level is not None and found.level.confidence >= least else None
    if task_type is None and level is None:
        return _by_words(text)
    by_words = _by_words(text) if task_type is None or level is None else None
    return _merged(trained.name, task_type, level, found.complexity, by_words)


def _merged(
    name: str, task_type: Answer | None, level: Answer | None, complexity: int | None, by_words: Classification | None
) -> Classification:
    """Return the trained classifier's answers; where it has none, those of the table."""
    reasons = [
        f"{each.label}: {each.confidence:.0%} by {name}, then {each.second} {each.second_confidence:.0%}"
        for each in (task_type, level)
        if each is not None
    ]
    if by_words is not None:
        reasons += by_words.reasons[:1] if task_type is None else by_words.reasons[1:]
    if level is None:
        assert by_words is not None
        number, word, classifier = by_words.complexity, by_words.level, by_words.classifier
    else:
        assert complexity is not None
        number, word, classifier = complexity, level_of(complexity), name
    if task_type is None:
        assert by_words is not None
        return Classification(number, word, by_words.task_type, by_words.confidence, tuple(reasons), classifier)
    return Classification(number, word, task_type.label, task_type.confidence, tuple(reasons), classifier, name)


def _by_words(text: str) -> Classification:
    """Return the answer of the table of words."""
    sample = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    lowered = sample.lower().encode(errors="replace")
    words = lowered.translate(_WORDS_ONLY).split()
    present = frozenset(words)
    word_count = len(words) if sample is text else len(words) * len(text) // len(sample)
    if not words:
        return Classification(1, "simple", "simple_query", _LOWEST_CONFIDENCE, ("the text is empty",))
    task_type, confidence, evidence = _task_type(lowered, words, present, word_count)
    points, grounds = _complexity(lowered, present, word_count)
    points += weights.TASK_TYPES[task_type]
    complexity = min(10, max(1, round(points)))
    named = f"{task_type}: {evidence}" if evidence else f"{task_type}: no word speaks for another task type"
    return Classification(complexity, level_of(complexity), task_type, confidence, (named, *grounds))


def _task_type(lowered: bytes, words: list[bytes], present: frozenset[bytes], count: int) -> tuple[str, float, str]:
    """Return the best task type, the confidence in it, and the words that spoke for it."""
    first = frozenset(words[:_FIRST_WORDS])
    points = dict.fromkeys(TASK_TYPES, 0.0)
    hits = [(word, 2.0 if word in first else 1.0, _TASK_WORDS[word]) for word in present & _TASK_VOCABULARY]
    for _, factor, by_type in hits:
        for task_type, weight in by_type.items():
            points[task_type] += factor * weight
    phrases = [
        each
        for key in (present & _TASK_PHRASES.keys()) | _WITHOUT_WORD
        for each in _TASK_PHRASES[key]
        if each[0] in lowered
    ]
    for _, task_type, weight in phrases:
        points[task_type] += weight
    if count <= 12:
        points["simple_query"] += 1.0 + (b"?" in lowered)
        if 2 * sum(map(bytes.isdigit, words)) >= max(4, count):
            points["simple_query"] += weights.ARITHMETIC_POINTS
    elif count > 80:
        points["simple_query"] -= 3.0
    if _has_code(lowered):
        points["simple_query"] -= 2.0
    ranked = sorted(TASK_TYPES, key=points.__getitem__, reverse=True)
    best, second = ranked[:2]
    if points[best] <= 0:
        return "analysis" if count > 80 else "simple_query", _LOWEST_CONFIDENCE, ""
    lead = (points[best] - max(0.0, points[second])) / (points[best] + 2.0)
    found = [(factor * by_type[best], word) for word, factor, by_type in hits if best in by_type]
    found += [(weight, phrase.strip()) for phrase, task_type, weight in phrases if task_type == best]
    found = sorted(found, key=lambda each: (-each[0], each[1]))[:3]
    said = ", ".join(f'"{each.decode()}"' for _, each in found) or f"{count} words"
    return best, round(max(_LOWEST_CONFIDENCE, lead), 3), said


def _complexity(lowered: bytes, present: frozenset[bytes], count: int) -> tuple[float, list[str]]:
    """Return the points of complexity without those of the task type, and the reasons."""
    found = [(_COMPLEXITY_WORDS[word], word) for word in present & _COMPLEXITY_VOCABULARY]
    found += [
        (weight, phrase.strip())
        for key in present & _COMPLEXITY_PHRASES.keys()
        for phrase, weight in _COMPLEXITY_PHRASES[key]
        if phrase in lowered
    ]
    by_words = fsum(weight for weight, _ in found)  # the same in any order
    by_words = min(weights.MAX_WORD_POINTS, max(weights.MIN_WORD_POINTS, by_words))
    by_length = next(points for bound, points in weights.LENGTH_POINTS if count <= bound)
    reasons = [f"{count} words ({by_length:+.1f})"]
    if found:
        strongest = sorted(found, key=lambda each: (-abs(each[0]), each[1]))[:_MOST_REASONS]
        reasons.insert(0, f"words such as {', '.join(word.decode() for _, word in strongest)} ({by_words:+.1f})")
    points = _BASE_POINTS + by_words + by_length
    if _has_code(lowered):
        points += weights.CODE_BLOCK_POINTS
        reasons.append(f"a block of code ({weights.CODE_BLOCK_POINTS:+.1f})")
    demands = len(_LIST_MARK.findall(lowered)) if b"\n" in lowered else 0
    if demands:
        added = min(5, demands) * weights.DEMAND_POINTS
        points += added
        reasons.append(f"a list of {demands} points ({added:+.1f})")
    operators = len(lowered) - len(lowered.translate(None, _OPERATORS))
    if operators * 25 > len(lowered) and not _has_code(lowered):
        points += weights.MATHEMATICS_POINTS
        reasons.append(f"mathematical signs ({weights.MATHEMATICS_POINTS:+.1f})")
    return points, reasons


def _has_code(lowered: bytes) -> bool:
    """Whether there is a block of code. A single byte is found many times as fast as three, and most texts have none."""
    return b"`" in lowered and b"```" in lowered


def _task_words() -> dict[bytes, dict[str, float]]:
    table: dict[bytes, dict[str, float]] = {}
    for task_type, by_weight in weights.TASK_WORDS.items():
        for weight, words in by_weight.items():
            for word in words.split():
                table.setdefault(word.encode(), {}).setdefault(task_type, weight)
    return table


def _longest_word(phrase: bytes) -> bytes:
    """Return the word by which a phrase is found: it is looked for only in texts that have this word."""
    return max(phrase.translate(_WORDS_ONLY).split(), key=len, default=b"")


def _task_phrases() -> dict[bytes, list[tuple[bytes, str, float]]]:
    table: dict[bytes, list[tuple[bytes, str, float]]] = {b"": []}
    for task_type, by_weight in weights.TASK_PHRASES.items():
        for weight, phrases in by_weight.items():
            for phrase in map(str.encode, phrases):
                table.setdefault(_longest_word(phrase), []).append((phrase, task_type, weight))
    return table


def _complexity_phrases() -> dict[bytes, list[tuple[bytes, float]]]:
    table: dict[bytes, list[tuple[bytes, float]]] = {}
    for weight, phrases in weights.COMPLEXITY_PHRASES.items():
        for phrase in map(str.encode, phrases):
            table.setdefault(_longest_word(phrase), []).append((phrase, weight))
    return table


_TASK_WORDS: Final = _task_words()
_TASK_VOCABULARY: Final = frozenset(_TASK_WORDS)
_TASK_PHRASES: Final = _task_phrases()
_WITHOUT_WORD: Final = frozenset({b""})
_COMPLEXITY_WORDS: Final = {
    word.encode(): weight for weight, words in weights.COMPLEXITY_WORDS.items() for word in words.split()
}
_COMPLEXITY_VOCABULARY: Final = frozenset(_COMPLEXITY_WORDS)
_COMPLEXITY_PHRASES: Final = _complexity_phrases()
