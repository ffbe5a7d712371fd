"""The trained classifier: the hashed words of a text -> task type and level, each with its probability. Pure, without numpy.

A linear model: each feature that it knows has a weight for each answer, and the answers are the softmax of the sums, divided
by the root of the number of known features. Its form is one header line of JSON, the hashes of the features (4 bytes each,
the most frequent first), and their weights (a byte each, 128 is zero). Nothing in it is executed, and every size is checked.

A text is read in some 0.1 ms because the weights of a feature are one integer with 16 bits for each answer: one addition
adds them all, and those of frequent features lie together in memory. Sums of 256 weights of 8 bits fit into 16 bits, so
words and pairs are summed apart.
"""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from math import exp, isfinite, sqrt
from struct import Struct as Layout
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from centralcloud.contracts.errors import CentralCloudError
from centralcloud.contracts.limits import COMPLEXITIES, MAX_LABEL_LENGTH
from centralcloud.contracts.task_classifier.features import FEATURES, hash_features
from centralcloud.contracts.task_score import MAX_TASK_TYPES
from centralcloud.contracts.text import read_name

#: NOTIFY channel: another trained classifier is in use, or none.
CLASSIFIER_CHANNEL: Final = "centralcloud_classifier"
#: Largest trained classifier, in bytes.
MAX_CLASSIFIER_BYTES: Final = 5_000_000
#: Raised when a reader of the format before would misread a classifier.
_FORMAT: Final = 1
_MAX_HEADER_BYTES: Final = 65_536
_ZERO: Final = 128
_MOST_WEIGHT: Final = 127
#: The number from 1 to 10 that stands for each level.
_MIDDLE: Final = {"simple": 2, "medium": 5, "complex": 8}
_BOUNDS: Final = {"simple": (1, 3), "medium": (4, 6), "complex": (7, 10)}


class ClassifierError(CentralCloudError):
    """A trained classifier cannot be used: it is damaged, too large, or of another version of the program."""


class Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question that the classifier answers.

    Attributes:
        answers: the labels; one column of weights each.
        biases: added to the sum of each answer.
        scale: of a weight: a byte b stands for (b - 128) * scale.
    """

    answers: Annotated[tuple[str, ...], Meta(min_length=2, max_length=MAX_TASK_TYPES)]
    biases: tuple[float, ...]
    scale: float


class Header(Struct, frozen=True, kw_only=True):
    """The first line of a trained classifier.

    Attributes:
        format: of the whole.
        features: names the way to read a text.
        sha256: of the bytes after this line.
        rows: features with weights.
        task_types, levels: the heads; None: not answered.
        least_confidence: below this probability an answer is left to the words.
    """

    format: int
    features: str
    sha256: str
    rows: Annotated[int, Meta(ge=0)]
    task_types: Head | None
    levels: Head | None
    least_confidence: Annotated[float, Meta(ge=0, le=1)]


class Answer(NamedTuple):
    """An answer and its probability, and those of the second best one."""

    label: str
    confidence: float
    second: str
    second_confidence: float


class Prediction(NamedTuple):
    """The answers to one text. None where the classifier does not answer the question.

    Attributes:
        task_type: the most probable one.
        level: the most probable one: simple, medium or complex.
        complexity: 1 to 10, within the level.
        known: features of the text that the classifier knows.
    """

    task_type: Answer | None
    level: Answer | None
    complexity: int | None
    known: int


class TrainedClassifier:
    """A trained classifier, ready to answer. Immutable.

    Attributes:
        version: its number in the fleet; 0: it has none yet.
        header: its labels and how to use the weights.
    """

    def __init__(self, version: int, header: Header, rows: Mapping[int, int]) -> None:
        self.version = version
        self.header = header
        self._rows = rows
        heads = [each for each in (header.task_types, header.levels) if each is not None]
        lanes = 1 + sum(len(each.answers) for each in heads)
        self._size = 2 * lanes
        self._layout = Layout(f"<{lanes}H")

    @property
    def name(self) -> str:
        """The name under which events and plans have it."""
        return f"trained-{self.version}"

    def predict(self, text: str) -> Prediction:
        """Return the answers to a text, whatever their probability. Reads 1,200 characters, and at most 256 words."""
        words, pairs = hash_features(text)
        find = self._rows.get
        first = sum(filter(None, map(find, words)))
        second = sum(filter(None, map(find, pairs)))
        unpack = self._layout.unpack
        of_words = unpack(first.to_bytes(self._size, "little"))
        of_pairs = unpack(second.to_bytes(self._size, "little"))
        known = of_words[0] + of_pairs[0]
        if not known:
            return Prediction(None, None, None, 0)
        zero = _ZERO * known
        sums = [a + b - zero for a, b in zip(of_words, of_pairs, strict=True)]
        types, levels = self.header.task_types, self.header.levels
        root, column = sqrt(known), 1
        task_type = level = complexity = None
        if types is not None:
            column += len(types.answers)
            task_type = _best(types.answers, _probabilities(types, sums[1:column], root))
        if levels is not None:
            probabilities = _probabilities(levels, sums[column:], root)
            level = _best(levels.answers, probabilities)
            complexity = _complexity(level.label, levels.answers, probabilities)
        return Prediction(task_type, level, complexity, known)


def parse_classifier(data: bytes, version: int = 0) -> TrainedClassifier:
    """Return the classifier in `data`.

    Raises:
        ClassifierError: it is damaged, too large, or of another version of the program; on one line.
    """
    if len(data) > MAX_CLASSIFIER_BYTES:
        raise ClassifierError(f"found {len(data)} bytes, expected at most {MAX_CLASSIFIER_BYTES}")
    end = data.find(b"\n", 0, _MAX_HEADER_BYTES)
    if end < 0:
        raise ClassifierError("found no header line, expected a trained classifier")
    header = _read_header(data[:end])
    payload = data[end + 1 :]
    columns = sum(len(each.answers) for each in (header.task_types, header.levels) if each is not None)
    if len(payload) != header.rows * (4 + columns):
        raise ClassifierError(f"found {len(payload)} bytes of weights, expected {header.rows * (4 + columns)}")
    if hashlib.sha256(payload).hexdigest() != header.sha256:
        raise ClassifierError("the checksum of the weights differs: it was changed or damaged")
    hashes = array("I", payload[: 4 * header.rows])
    if hashes.itemsize != 4:
        raise ClassifierError("integers of this machine do not have 4 bytes")
    if not _LITTLE_ENDIAN:
        hashes.byteswap()
    if len(set(hashes)) < len(hashes):
        raise ClassifierError("a feature is there twice")
    return TrainedClassifier(version, header, _integers(hashes, payload[4 * header.rows :], columns))


def encode_classifier(
    *,
    hashes: Sequence[int],
    weights: bytes,
    task_types: Head | None,
    levels: Head | None,
    least_confidence: float,
) -> bytes:
    """Return a classifier as bytes.

    Args:
        hashes: of the features, each once, the most frequent first.
        weights: for each feature a byte for each answer, those of the task types first; 128 is zero, 1 to 255 are valid.
        task_types, levels, least_confidence: as in `Header`.

    Raises:
        ClassifierError: it is too large.
    """
    packed = array("I", hashes)
    if not _LITTLE_ENDIAN:
        packed.byteswap()
    payload = packed.tobytes() + weights
    header = Header(
        format=_FORMAT,
        features=FEATURES,
        sha256=hashlib.sha256(payload).hexdigest(),
        rows=len(hashes),
        task_types=task_types,
        levels=levels,
        least_confidence=least_confidence,
    )
    data = msgspec.json.encode(header) + b"\n" + payload
    if len(data) > MAX_CLASSIFIER_BYTES:
        raise ClassifierError(f"found {len(data)} bytes, expected at most {MAX_CLASSIFIER_BYTES}")
    return data


_LITTLE_ENDIAN: Final = array("H", [1]).tobytes()[0] == 1


class _Format(Struct):
    """The field that every format has, so that a newer one is named before its other fields are read."""

    format: int


def _read_header(line: bytes) -> Header:
    try:
        found = msgspec.json.decode(line, type=_Format).format
        if found != _FORMAT:
            raise ClassifierError(
                f"found format {found}, expected {_FORMAT}: another version of the program has trained it"
            )
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ClassifierError(f"the header line cannot be read: {error}") from None
    if header.features != FEATURES:
        raise ClassifierError(
            f"it was trained on the features {header.features!r}, expected {FEATURES!r}: train it again"
        )
    if header.task_types is None and header.levels is None:
        raise ClassifierError("it answers nothing, expected task types, levels or both")
    for name, head in (("task_types", header.task_types), ("levels", header.levels)):
        if head is None:
            continue
        if len(head.biases) != len(head.answers) or len(set(head.answers)) != len(head.answers):
            raise ClassifierError(f"{name}: expected different answers, and a bias for each")
        if any(read_name(each, MAX_LABEL_LENGTH) != each for each in head.answers):
            raise ClassifierError(f"{name}: expected plain names of at most {MAX_LABEL_LENGTH} characters")
        if not all(map(isfinite, (*head.biases, head.scale))):
            raise ClassifierError(f"{name}: expected finite numbers")
        if head is header.levels and not set(head.answers) <= set(COMPLEXITIES):
            raise ClassifierError(f"levels: expected some of {', '.join(COMPLEXITIES)}")
    return header


def _integers(hashes: Sequence[int], weights: bytes, columns: int) -> dict[int, int]:
    """Return for each feature one integer: 16 bits with the number 1, then 16 bits for each weight."""
    size = 2 * (columns + 1)
    wide = bytearray(size * len(hashes))
    wide[0::size] = b"\x01" * len(hashes)
    for column in range(columns):
        wide[2 * column + 2 :: size] = weights[column::columns]
    packed = bytes(wide)
    read = int.from_bytes
    return {
        key: read(packed[at : at + size], "little") for key, at in zip(hashes, range(0, len(packed), size), strict=True)
    }


def _probabilities(head: Head, sums: Sequence[int], root: float) -> list[float]:
    factor = head.scale / root
    logits = [each * factor + bias for each, bias in zip(sums, head.biases, strict=True)]
    most = max(logits)
    powers = [exp(each - most) for each in logits]
    total = sum(powers)
    return [each / total for each in powers]


def _best(answers: Sequence[str], probabilities: Sequence[float]) -> Answer:
    most = max(probabilities)
    first = probabilities.index(most)
    others = [*probabilities]
    others[first] = -1.0
    next_most = max(others)
    return Answer(answers[first], round(most, 3), answers[others.index(next_most)], round(next_most, 3))


def _complexity(level: str, answers: Sequence[str], probabilities: Sequence[float]) -> int:
    """Return the mean of the levels' numbers, within the level."""
    mean = sum(_MIDDLE[each] * probability for each, probability in zip(answers, probabilities, strict=True))
    least, most = _BOUNDS[level]
    return min(most, max(least, round(mean)))
