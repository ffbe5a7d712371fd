"""The model catalog: the user's YAML, which is never rewritten, with the learned scores laid over it."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from centralcloud.contracts import COMPLEXITIES
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.model import Model

_NOTHING_LEARNED: Final = LearnedScores()


class ModelCatalog:
    """The models an instance may use, with the score of each for each complexity as it stands now.

    A learned score replaces the configured one. Scores learned for models that the YAML lacks are shown, but such models
    are never chosen: this instance knows neither their provider nor what they can do. Safe to use from several threads.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        learned: LearnedScores | None = None,
        file: LearnedScoresFile | None = None,
        ignore_learned: bool = False,
    ) -> None:
        """With a `file`, `refresh()` takes over what another process (the sidecar) has written to it."""
        self.models = tuple(models)
        self._ignore_learned = ignore_learned
        self._file = file
        self._fingerprint: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._learned = learned or LearnedScores()
        self.refresh()

    @classmethod
    def load(cls, path: Path | None, state_folder: Path, *, ignore_learned: bool = False) -> "ModelCatalog":
        """The catalog of a YAML file (None: no models) and of the learned scores in `state_folder`.

        Raises:
            SettingsError: the YAML cannot be read or is wrong; names the place.
        """
        models = read_catalog_file(path) if path else []
        return cls(models, file=LearnedScoresFile(state_folder), ignore_learned=ignore_learned)

    @property
    def version(self) -> int:
        """The newest score version applied, 0 for none."""
        return self._learned.version

    @property
    def effective(self) -> LearnedScores:
        """The learned scores as they stand now; none when they are to be ignored. Immutable: good for a whole decision."""
        return _NOTHING_LEARNED if self._ignore_learned else self._learned

    def score(self, model: Model, complexity: str, learned: LearnedScores | None = None) -> float | None:
        """The score of `model` with what is `learned` (as it stands now); None when it has none for this complexity."""
        row = (self.effective if learned is None else learned).of(model.name, complexity)
        return row.score if row else model.complexity_scores.get(complexity)  # type: ignore[call-overload]

    def use(self, learned: LearnedScores) -> None:
        """Take over learned scores; decisions from now on see all of them at once."""
        self._learned = learned

    def refresh(self) -> None:
        """Take over what another process has written to the file since the last look. Costs one stat when nothing is new."""
        if self._file is None:
            return
        fingerprint = self._file.fingerprint()
        if fingerprint == self._fingerprint:
            return
        with self._lock:
            if fingerprint != self._fingerprint:
                self._learned = self._file.read()
                self._fingerprint = fingerprint

    def as_json(self) -> dict[str, Any]:
        """The effective catalog: every model of the YAML, then those that are only known from learned scores."""
        known = {model.name for model in self.models}
        unknown = sorted({name for name, _ in self.effective.scores if name not in known})
        return {
            "version": self.version,
            "models": [self._model_json(model) for model in self.models]
            + [
                {
                    "name": name,
                    "provider": None,
                    "complexity_scores": {c: row["score"] for c, row in self._learned_json(name).items()},
                    "learned": self._learned_json(name),
                    "routable": False,
                }
                for name in unknown
            ],
        }

    def _model_json(self, model: Model) -> dict[str, Any]:
        effective = {complexity: self.score(model, complexity) for complexity in COMPLEXITIES}
        return {
            **model.model_dump(),
            "capabilities": sorted(model.capabilities),
            "complexity_scores": {name: score for name, score in effective.items() if score is not None},
            "configured_scores": dict(model.complexity_scores),
            "learned": self._learned_json(model.name),
            "routable": True,
        }

    def _learned_json(self, name: str) -> dict[str, dict[str, Any]]:
        rows = {complexity: self.effective.of(name, complexity) for complexity in COMPLEXITIES}
        return {
            complexity: {
                "score": row.score,
                "version": row.version,
                "at": row.at.isoformat(),
                "reason": row.reason,
                "mean": row.mean,
                "n_eff": row.n_eff,
                "probe_share": row.probe_share,
            }
            for complexity, row in rows.items()
            if row is not None
        }
