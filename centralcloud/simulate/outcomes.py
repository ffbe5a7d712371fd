"""Outcome tables: the outcome of every model for every task."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.learning.arrays import Floats

_REQUIRED: Final = ("model", "item_id", "complexity", "success")
_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcome of each model for each task of one complexity; every array has shape (models, items).

    Attributes:
        reward: success, 0 to 1.
        latency_ms, cost_usd: NaN where the table has no value.
    """

    reward: Floats
    latency_ms: Floats
    cost_usd: Floats

    @property
    def items(self) -> int:
        """Number of tasks."""
        return int(self.reward.shape[1])


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """The outcomes of some models, each of which has done every task.

    Attributes:
        models: the rows of every array.
        by_complexity: in the order of `COMPLEXITIES`; only complexities that have tasks.
    """

    models: tuple[str, ...]
    by_complexity: Mapping[str, Outcomes]

    def ranking(self) -> list[str]:
        """Return the models, best first, by mean success; every complexity weighs the same. Ties are sorted by name."""
        means = np.mean([outcomes.reward.mean(axis=1) for outcomes in self.by_complexity.values()], axis=0)
        return [name for _, name in sorted(zip(-means, self.models, strict=True))]


class _Answer(NamedTuple):
    complexity: str
    reward: float
    latency_ms: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class OutcomeFile:
    """A table as it was read; a model that is not used may lack tasks."""

    path: Path
    answers: Mapping[str, Mapping[str, _Answer]]
    complexities: Mapping[str, str]

    @property
    def models(self) -> tuple[str, ...]:
        """Every model, in the order of the file."""
        return tuple(self.answers)

    def table(self, models: Iterable[str] | None = None) -> OutcomeTable:
        """Return the outcomes of `models` (default: all); each must have done every task that one of them has.

        Raises:
            SettingsError: a model lacks a task.
        """
        chosen = self.models if models is None else tuple(models)
        items = dict.fromkeys(item for model in chosen for item in self.answers[model])
        for model in chosen:
            if missing := next((item for item in items if item not in self.answers[model]), None):
                raise SettingsError(
                    f"{self.path}: model {quote(model)}: found no outcome for item {quote(missing)}, "
                    "expected one for every item that another model of the scenario has"
                )
        by_complexity = {}
        for complexity in COMPLEXITIES:
            of_complexity = [item for item in items if self.complexities[item] == complexity]
            if of_complexity:
                values = np.array(
                    [[self.answers[model][item][1:] for item in of_complexity] for model in chosen], dtype=np.float64
                )
                by_complexity[complexity] = Outcomes(*(np.ascontiguousarray(values[:, :, part]) for part in range(3)))
        return OutcomeTable(chosen, by_complexity)


def read_outcomes(path: Path) -> OutcomeFile:
    """Read an outcome table: CSV, or CSV compressed with gzip, with a line of column names.

    Columns: model, item_id, complexity (simple, medium or complex), success (0 or 1, or a grade in between), and where known
    latency_ms and cost_usd (both may be empty or missing). Other columns are ignored.

    Raises:
        SettingsError: the file cannot be read or is not an outcome table; the message names the line.
    """
    answers: dict[str, dict[str, _Answer]] = {}
    complexities: dict[str, str] = {}
    try:
        with _open(path) as stream:
            for place, row in _rows(path, stream):
                model, item = _text(place, row, "model"), _text(place, row, "item_id")
                answer = _answer(place, row)
                if item in answers.setdefault(model, {}):
                    raise SettingsError(
                        f"{place}: found {quote(model)} with item {quote(item)} again, expected it once"
                    )
                if (known := complexities.setdefault(item, answer.complexity)) != answer.complexity:
                    raise SettingsError(
                        f"{place}: complexity: found {quote(answer.complexity)} for item {quote(item)}, "
                        f"expected {quote(known)} as before"
                    )
                answers[model][item] = answer
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except (EOFError, zlib.error):
        raise SettingsError(f"{path}: found a gzip file that is damaged or cut off, expected all of it") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: found a byte that is not UTF-8 at position {error.start}, expected CSV") from None
    except csv.Error as error:
        raise SettingsError(f"{path}: found {error}, expected CSV") from None
    if not answers:
        raise SettingsError(f"{path}: found no outcomes, expected a line for every model and item")
    return OutcomeFile(path, answers, complexities)


def _open(path: Path) -> TextIO:
    with path.open("rb") as stream:
        compressed = stream.read(2) == _GZIP_MAGIC
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(path: Path, stream: TextIO) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of the table, with its place for error messages."""
    reader = csv.DictReader(stream, restval="")
    columns = reader.fieldnames or []
    for name in _REQUIRED:
        if name not in columns:
            found = ", ".join(map(quote, columns[:12])) or "nothing"
            raise SettingsError(f"{path}: line 1: found the columns {found}, expected also {name}")
    for row in reader:
        yield f"{path}: line {reader.line_num}", row


def _answer(place: str, row: Mapping[str, str]) -> _Answer:
    complexity = _text(place, row, "complexity").lower()
    if complexity not in COMPLEXITIES:
        raise SettingsError(
            f"{place}: complexity: found {quote(row['complexity'])}, expected one of {', '.join(COMPLEXITIES)}"
        )
    reward = _number(place, row, "success", "a number from 0 to 1")
    if not 0 <= reward <= 1:  # also when it is missing
        raise SettingsError(f"{place}: success: found {quote(row['success'])}, expected a number from 0 to 1")
    return _Answer(
        complexity,
        reward,
        _number(place, row, "latency_ms", "a number of at least 0, or nothing"),
        _number(place, row, "cost_usd", "a number of at least 0, or nothing"),
    )


def _text(place: str, row: Mapping[str, str], name: str) -> str:
    if text := row[name].strip():
        return text
    raise SettingsError(f"{place}: {name}: found nothing, expected a name")


def _number(place: str, row: Mapping[str, str], name: str, expected: str) -> float:
    """Parse a finite number that is not negative; NaN for an empty cell."""
    text = (row.get(name) or "").strip()
    if not text:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise SettingsError(f"{place}: {name}: found {quote(text)}, expected {expected}")
    return number
