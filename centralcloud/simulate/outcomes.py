"""Files of outcomes: what each model did with each task."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.arrays import Integers
from centralcloud.simulate.holes import estimate_rewards
from centralcloud.simulate.outcome_table import OutcomeTable

#: A model with fewer outcomes of a complexity says too little about the tasks that it did not do.
LEAST_RECORDED: Final = 10
_REQUIRED: Final = ("model", "item_id", "complexity", "success")
_GZIP_MAGIC: Final = b"\x1f\x8b"


class _Answer(NamedTuple):
    complexity: str
    reward: float
    latency_ms: float
    cost_usd: float


_NO_ANSWER: Final = _Answer("", math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class OutcomeFile:
    """A table as it was read; models may lack tasks.

    Attributes:
        answers: by model and item.
        complexities_of: the complexity of each item.
        types_of: the task type of each item; empty for an item without one.
    """

    path: Path
    answers: Mapping[str, Mapping[str, _Answer]]
    complexities_of: Mapping[str, str]
    types_of: Mapping[str, str]

    @property
    def models(self) -> tuple[str, ...]:
        """Every model, in the order of the file."""
        return tuple(self.answers)

    @property
    def complexities(self) -> tuple[str, ...]:
        """The complexities that have items."""
        found = set(self.complexities_of.values())
        return tuple(complexity for complexity in COMPLEXITIES if complexity in found)

    def table(self, models: Iterable[str] | None = None) -> OutcomeTable:
        """Return the outcomes of `models` (default: all) for every item that one of them has done.

        An outcome that a model lacks is estimated, if it has done at least 10 items of that complexity. With none, it cannot
        be chosen there.

        Raises:
            SettingsError: a model has done a few of the items of a complexity.
        """
        chosen = self.models if models is None else tuple(models)
        items = sorted(
            dict.fromkeys(item for model in chosen for item in self.answers[model]),
            key=lambda item: COMPLEXITIES.index(self.complexities_of[item]),
        )
        complexities = tuple(dict.fromkeys(self.complexities_of[item] for item in items))
        types = tuple(sorted({self.types_of[item] for item in items} - {""}))
        number = {name: position for position, name in enumerate(("", *types) if types else ("",))}
        complexity = np.array([complexities.index(self.complexities_of[item]) for item in items], dtype=np.int64)
        values = np.array(
            [[self.answers[model].get(item, _NO_ANSWER)[1:] for item in items] for model in chosen], dtype=np.float64
        )
        reward, latency_ms, cost_usd = (np.ascontiguousarray(values[:, :, part]) for part in range(3))
        known = ~np.isnan(reward)
        recorded = np.column_stack([known[:, complexity == each].sum(axis=1) for each in range(len(complexities))])
        self._check_recorded(chosen, complexities, recorded, np.bincount(complexity))
        task_type = np.array([number[self.types_of[item]] for item in items], dtype=np.int64)
        for each in range(len(complexities)):
            of_it, done = complexity == each, recorded[:, each] > 0
            if not known[np.ix_(done, of_it)].all():
                cells = np.ix_(done, of_it)
                expected = estimate_rewards(reward[cells], known[cells], task_type[of_it])
                reward[cells] = np.where(known[cells], reward[cells], expected)
        return OutcomeTable(
            chosen,
            complexities,
            tuple(number) if types else (),
            complexity,
            task_type,
            np.where(np.isnan(reward), 0.0, reward),
            latency_ms,
            cost_usd,
            ~known,
            recorded.astype(np.int64),
        )

    def _check_recorded(
        self, models: Sequence[str], complexities: Sequence[str], recorded: Integers, items: Integers
    ) -> None:
        for row, column in zip(*np.nonzero((recorded < items) & (recorded > 0)), strict=True):
            if recorded[row, column] < LEAST_RECORDED:
                raise SettingsError(
                    f"{self.path}: model {quote(models[row])}: found outcomes for {recorded[row, column]} of the "
                    f"{items[column]} {complexities[column]} items, expected at least {LEAST_RECORDED}, from which the "
                    "others are estimated, or none"
                )


def read_outcomes(path: Path) -> OutcomeFile:
    """Read an outcome table: CSV, or CSV compressed with gzip, with a line of column names.

    Columns: model, item_id, complexity (simple, medium or complex), success (0 or 1, or a grade in between), and where known
    latency_ms, cost_usd and task_type (all may be empty or missing). Other columns are ignored.

    Raises:
        SettingsError: the file cannot be read or is not an outcome table; the message names the line.
    """
    answers: dict[str, dict[str, _Answer]] = {}
    complexities: dict[str, str] = {}
    types: dict[str, str] = {}
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
                task_type = (row.get("task_type") or "").strip()
                if (known := types.setdefault(item, task_type)) != task_type:
                    raise SettingsError(
                        f"{place}: task_type: found {quote(task_type)} for item {quote(item)}, "
                        f"expected {quote(known)} as before"
                    )
                answers[model][item] = answer
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except (EOFError, zlib.error):
        raise SettingsError(f"{path}: found a gzip file that is damaged or cut off, expected all of it") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path}: found a byte that is not UTF-8 at position {error.start}, expected CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise SettingsError(f"{path}: found {error}, expected CSV") from None
    if not answers:
        raise SettingsError(f"{path}: found no outcomes, expected a line for every model and item")
    return OutcomeFile(path, answers, complexities, types)


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
