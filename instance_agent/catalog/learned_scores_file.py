"""The file of one instance's learned scores, which survives a restart and a database that is unavailable."""

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from centralcloud.contracts.score_update import is_score, is_share, usable_estimate
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores

log = get_logger(__name__)

_FILE_NAME: Final = "learned_scores.json"
_FORMAT: Final = 1


class LearnedScoresFile:
    """The file of one instance's learned scores. Written atomically, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE_NAME

    def read(self) -> LearnedScores:
        """What the file holds. A file that is missing or damaged counts as empty: the database fills it again."""
        try:
            return _from_json(json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return LearnedScores()
        except (OSError, ArithmeticError, RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("learned_scores_unreadable", path=str(self.path), reason=repr(error))
            return LearnedScores()

    def write(self, learned: LearnedScores) -> None:
        """Replace the file in one step: whoever reads it, or crashes, sees the old content or the new.

        Raises:
            OSError: it cannot be written; the old content stays.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{_FILE_NAME}.")
        try:
            with os.fdopen(descriptor, "w") as stream:
                stream.write(json.dumps(_to_json(learned)))  # json.dump would do the same in Python instead of in C
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def fingerprint(self) -> tuple[int, int] | None:
        """Changes whenever the file is replaced; None while there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


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
                "mean": learned_score.mean,
                "n_eff": learned_score.n_eff,
                "probe_share": learned_score.probe_share,
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
        mean, n_eff = usable_estimate(row.get("mean"), row.get("n_eff"))
        if (mean, n_eff) != (row.get("mean"), row.get("n_eff")):
            raise ValueError(f"mean {row.get('mean')!r} and n_eff {row.get('n_eff')!r} of {row['model']}")
        probe_share = row.get("probe_share")
        if probe_share is not None and not is_share(probe_share):
            raise ValueError(f"probe_share {probe_share!r} of {row['model']}")
        scores[str(row["model"]), str(row["complexity"])] = LearnedScore(
            score=float(row["score"]),
            version=row["version"],
            at=datetime.fromisoformat(row["at"]).astimezone(UTC),
            reason=row["reason"],
            mean=mean,
            n_eff=n_eff,
            probe_share=probe_share,
        )
    if not isinstance(value["epoch"], str | None):
        raise TypeError(f"epoch {value['epoch']!r}")
    return LearnedScores(
        epoch=value["epoch"], cursor=int(value["cursor"]), version=int(value["version"]), scores=scores
    )
