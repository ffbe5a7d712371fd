"""Trained classifiers for tests: small ones by hand, and prompts to train one on."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from centralcloud.contracts.task_classifier.trained import Head, TrainedClassifier, encode_classifier, parse_classifier

WORDS = {
    "billing": "invoice refund payment charge receipt account card",
    "shipping": "parcel delivery courier address tracking warehouse box",
    "returns": "broken replace exchange damaged label faulty send",
}
LEVELS = {"billing": "simple", "shipping": "medium", "returns": "complex"}


def classifier_bytes(
    weights: Mapping[str, Sequence[int]],
    *,
    task_types: Sequence[str] = ("law", "music"),
    levels: Sequence[str] = (),
    scale: float = 0.05,
    least_confidence: float = 0.6,
) -> bytes:
    """Return a classifier with these weights (-127 to 127) of words, in the order of the answers."""
    rows = sorted((crc32(word.encode()), bytes(128 + each for each in row)) for word, row in weights.items())

    def head(answers: Sequence[str]) -> Head | None:
        return Head(answers=tuple(answers), biases=(0.0,) * len(answers), scale=scale) if answers else None

    return encode_classifier(
        hashes=[key for key, _ in rows],
        weights=b"".join(row for _, row in rows),
        task_types=head(task_types),
        levels=head(levels),
        least_confidence=least_confidence,
    )


def a_classifier(weights: Mapping[str, Sequence[int]], version: int = 7, **options) -> TrainedClassifier:
    """Return such a classifier, ready to answer."""
    return parse_classifier(classifier_bytes(weights, **options), version)


def with_header(data: bytes, **changes: object) -> bytes:
    """Return a classifier with other values in its header."""
    line, _, payload = data.partition(b"\n")
    header = {**json.loads(line), **changes}
    return json.dumps(header).encode() + b"\n" + payload


def resealed(data: bytes, payload: bytes) -> bytes:
    """Return a classifier with another payload, and the checksum that belongs to it."""
    line, _, _ = data.partition(b"\n")
    header = {**msgspec.json.decode(line), "sha256": hashlib.sha256(payload).hexdigest()}
    return msgspec.json.encode(header) + b"\n" + payload


def labelled_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Return prompts of three task types, some words of each with words that all have."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        task_type = [*WORDS][number % 3]
        words = rng.sample(WORDS[task_type].split(), 3) + rng.sample(
            ("please", "the", "my", "order", "about", "help", "now"), 4
        )
        rng.shuffle(words)
        rows.append({"prompt": " ".join(words), "task_type": task_type, "complexity": LEVELS[task_type]})
    return rows


def write_prompts(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
