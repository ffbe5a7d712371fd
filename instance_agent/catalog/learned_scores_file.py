"""The file of an instance's learned scores: they survive a restart, also while the database is unavailable."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from centralcloud.contracts import Estimate, parse_estimate
from centralcloud.contracts.task_score import TaskScore, parse_task_scores, task_scores_to_json
from centralcloud.contracts.validators import is_score
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of, read_bounded, replace_file
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores

log = get_logger(__name__)

_FILE_NAME: Final = "learned_scores.json"
#: A score takes about 300 bytes, and 150 more for each task type.
_MAX_BYTES: Final = 256_000_000
#: Raised when a reader of the format before would misread the file. An additional key of a score does not raise it.
_FORMAT: Final = 1


class LearnedScoresFile:
    """The file of an instance's learned scores. Replaced atomically; readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE_NAME

    def read(self) -> LearnedScores:
        """Return the scores in the file. A missing, damaged or huge file counts as empty: the database has all scores."""
        try:
            return _from_json(json.loads(read_bounded(self.path, _MAX_BYTES)))
        except FileNotFoundError:
            return LearnedScores()
        except (OSError, ArithmeticError, RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("learned_scores_unreadable", path=str(self.path), reason=repr(error))
            return LearnedScores()

    def write(self, learned: LearnedScores) -> None:
        """Replace the file in one step: a concurrent reader, or a crash, finds the old content or the new.

        Raises:
            OSError: the file cannot be written, or would be larger than `read` accepts; the old content stays.
        """
        content = json.dumps(_to_json(learned))  # json.dump does not use the C encoder
        replace_file(self.path, content.encode(), _MAX_BYTES)

    def fingerprint(self) -> Fingerprint | None:
        """Return a value that changes whenever the file is replaced; None while there is no file."""
        return fingerprint_of(self.path)


def _to_json(learned: LearnedScores) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "epoch": learned.epoch,
        "cursor": learned.cursor,
        "version": learned.version,
        "scores": [
            {
                "model": model,
                "complexity": complexity,
                "score": learned_score.score,
                "version": learned_score.version,
                "at": learned_score.at.isoformat(),
                "reason": learned_score.reason,
                **learned_score.estimate.to_json(),
                **({"task_types": task_scores_to_json(learned_score.task_types)} if learned_score.task_types else {}),
            }
            for (model, complexity), learned_score in sorted(learned.scores.items())
        ],
    }


def _from_json(value: dict[str, Any]) -> LearnedScores:
    if value["format"] != _FORMAT:
        raise ValueError(f"format {value['format']}, expected {_FORMAT}")
    scores = {}
    for row in value["scores"]:
        if not is_score(row["score"]):
            raise ValueError(f"score {row['score']!r} of {row['model']}")
        if row["version"] is not None and not isinstance(row["version"], int):
            raise ValueError(f"version {row['version']!r} of {row['model']}")
        scores[str(row["model"]), str(row["complexity"])] = LearnedScore(
            score=float(row["score"]),
            version=row["version"],
            at=datetime.fromisoformat(row["at"]).astimezone(UTC),
            reason=row["reason"],
            estimate=_estimate(row),
            task_types=_task_types(row),
        )
    if not isinstance(value["epoch"], str | None):
        raise TypeError(f"epoch {value['epoch']!r}")
    return LearnedScores(
        epoch=value["epoch"], cursor=int(value["cursor"]), version=int(value["version"]), scores=scores
    )


def _task_types(row: dict[str, Any]) -> dict[str, TaskScore]:
    found = row.get("task_types", {})
    task_types = parse_task_scores(found)
    if found != task_scores_to_json(task_types):
        raise ValueError(f"task types {found} of {row['model']}")
    return task_types


def _estimate(row: dict[str, Any]) -> Estimate:
    """Parse the estimate of a score. Unlike in a message an invalid part is an error: the file is damaged."""
    estimate = parse_estimate(row)
    found = {name: row[name] for name in Estimate.__struct_fields__ if row.get(name) is not None}
    if found != estimate.to_json():
        raise ValueError(f"estimate {found} of {row['model']}")
    return estimate
