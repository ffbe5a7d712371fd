"""Learned scores as an instance keeps them: which score wins, and the file that survives a restart."""

import json
import os
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from centralcloud.contracts.score_update import is_score, is_share, usable_estimate
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

_FILE_NAME: Final = "learned_scores.json"
_FORMAT: Final = 1

#: (model, complexity)
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScore:
    """One learned score.

    Attributes:
        score: 0.0 to 5.0.
        version: None for a score that somebody sent by hand, without one.
        at: when it was published, by the database's clock.
        mean, n_eff: the success probability behind it is Beta(mean n_eff, (1 - mean) n_eff); None when its rule, or whoever
            sent it, estimates none.
        probe_share: share of the tasks of this complexity that should go to this model to keep it judged, 0 to 1.
    """

    score: float
    version: int | None
    at: datetime
    reason: str | None = None
    mean: float | None = None
    n_eff: float | None = None
    probe_share: float | None = None

    def wins_over(self, other: "LearnedScore | None") -> bool:
        """Whether this score is to be used instead of `other`.

        Of two versions the higher wins. A score without a version stands until a newer version comes, so there the time of
        publication decides. The order in which scores arrive makes no difference, so reading a message twice, late, or
        only as part of the snapshot always ends in the same catalog.
        """
        if other is None:
            return True
        if self.version is not None and other.version is not None:
            return self.version > other.version
        if self.at != other.at:
            return self.at > other.at
        return self.version is not None and other.version is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScores:
    """Everything an instance has learned from one history of one database. Immutable: a change makes a new one.

    Attributes:
        epoch: names that history; None before the first contact.
        cursor: the newest message of `model_score_updates` that was read.
        version: the newest score version applied, 0 for none.
    """

    epoch: str | None = None
    cursor: int = 0
    version: int = 0
    scores: dict[Pair, LearnedScore] = field(default_factory=dict)

    def of(self, model: str, complexity: str) -> LearnedScore | None:
        """The learned score of a pair; None when there is none."""
        return self.scores.get((model, complexity))

    def with_score(self, pair: Pair, score: LearnedScore) -> "LearnedScores":
        """These scores with one more taken into account; the same object when it changes nothing."""
        version = max(self.version, score.version or 0)
        if score.wins_over(self.scores.get(pair)):
            return replace(self, version=version, scores={**self.scores, pair: score})
        return self if version == self.version else replace(self, version=version)


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
