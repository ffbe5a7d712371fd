"""Prompts with labels from a file: JSON lines or CSV, also gzipped. Nothing of them leaves the process."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

import msgspec

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import COMPLEXITIES, MAX_LABEL_LENGTH
from centralcloud.contracts.task_classifier.features import MOST_CHARACTERS
from centralcloud.contracts.text import read_name
from centralcloud.contracts.words import BUILT_IN, word_key

#: A sample of so many is enough, and takes some minutes.
MOST_PROMPTS: Final = 200_000
_MOST_LINE_BYTES: Final = 4_000_000
_GZIP_MAGIC: Final = b"\x1f\x8b"
_TEXT_NAMES: Final = ("prompt", "text")
_TYPE_NAMES: Final = ("task_type", "taskType")
_EXPECTED: Final = "prompt (or text), and task_type, complexity or both"


class LabelledPrompt(NamedTuple):
    """A prompt with its labels; at least one of them is not None.

    Attributes:
        text: the part that the classifier reads: the first 1,200 characters.
        task_type: a name of at most 200 characters.
        level: simple, medium or complex.
    """

    text: str
    task_type: str | None
    level: str | None


def read_prompts(path: Path) -> list[LabelledPrompt]:
    """Return the prompts of a file, in its order. A row without a label is left out.

    Args:
        path: JSON lines, or CSV where the name ends with .csv or .csv.gz.

    Raises:
        SettingsError: it cannot be read, a row is not valid, or there are more than 200,000; names the line.
    """
    names = path.name.lower().removesuffix(".gz")
    rows = _csv_rows if names.endswith(".csv") else _json_rows
    found: list[LabelledPrompt] = []
    with _opened(path) as stream:
        try:
            for place, row in rows(path, stream):
                if (prompt := _prompt(row, place)) is not None:
                    found.append(prompt)
                if len(found) > MOST_PROMPTS:
                    raise SettingsError(
                        f"{path}: found more than {MOST_PROMPTS:,} prompts, expected a sample of at most that"
                    )
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise SettingsError(f"{path}: found a gzip file that is damaged or cut off, expected all of it") from None
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    return found


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    with stream:
        # By its content: a file keeps its name when a download unpacks it.
        compressed = stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
        yield cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if compressed else stream


def _json_rows(path: Path, stream: BinaryIO) -> Iterator[tuple[str, Mapping[str, Any]]]:
    number = 0
    while line := stream.readline(_MOST_LINE_BYTES + 1):
        number += 1
        place = f"{path}: line {number}"
        if len(line) > _MOST_LINE_BYTES:
            raise SettingsError(f"{place}: found more than {_MOST_LINE_BYTES:,} bytes, expected fewer")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
            if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise SettingsError(f"{place}: found UTF-16, expected UTF-8")
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SettingsError(f"{place}: found a line that is not JSON ({error}), expected a JSON object") from None
        if not isinstance(row, dict):
            raise SettingsError(f"{place}: found JSON that is not an object, expected one with {_EXPECTED}")
        yield place, row


def _csv_rows(path: Path, stream: BinaryIO) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.DictReader(text)
    try:
        for row in reader:
            yield f"{path}: line {reader.line_num}", row
    except UnicodeDecodeError:
        raise SettingsError(
            f"{path}: line {reader.line_num + 1}: found bytes that are not UTF-8, expected text"
        ) from None
    except csv.Error as error:
        raise SettingsError(
            f"{path}: line {reader.line_num}: {error}, expected CSV with a line of column names"
        ) from None
    finally:
        text.detach()  # the caller closes the stream


def _prompt(row: Mapping[str, Any], place: str) -> LabelledPrompt | None:
    text = next((row[name] for name in _TEXT_NAMES if row.get(name) is not None), None)
    if not isinstance(text, str):
        raise SettingsError(f"{place}: found no prompt that is a text, expected {_EXPECTED}")
    raw_type = next((row[name] for name in _TYPE_NAMES if row.get(name) not in (None, "")), None)
    task_type = None if raw_type is None else read_name(raw_type, MAX_LABEL_LENGTH)
    if raw_type is not None and task_type is None:
        raise SettingsError(
            f"{place}: task_type: found {quote(raw_type)}, expected a name of at most {MAX_LABEL_LENGTH} characters"
        )
    raw_level = row.get("complexity")
    level = None if raw_level in (None, "") else _level(raw_level)
    if raw_level not in (None, "") and level is None:
        raise SettingsError(
            f"{place}: complexity: found {quote(raw_level)}, expected simple, medium, complex, 1 to 10, or a word such as "
            "easy or hard"
        )
    if task_type is None and level is None:
        return None
    return LabelledPrompt(text[:MOST_CHARACTERS], task_type, level)


def _level(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    word = word_key(str(value))
    if word in COMPLEXITIES:
        return word
    meaning = BUILT_IN.complexity.get(word) if word is not None else None
    return None if meaning is None else meaning.value
