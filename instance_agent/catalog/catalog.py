"""The model catalog: the models of the user's YAML, which is never rewritten, with learned scores in place of its own."""

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
    """The models that an instance may use, with the current score of each for each complexity. Thread-safe.

    A learned score replaces the configured one. Models that have learned scores but are not in the YAML are shown, and never
    chosen: this instance knows neither their provider nor their capabilities.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        learned: LearnedScores | None = None,
        file: LearnedScoresFile | None = None,
        ignore_learned: bool = False,
    ) -> None:
        """Create a catalog.

        Args:
            models: the models of the YAML, as `read_catalog_file` returns them.
            learned: the learned scores at the start; None: no scores.
            file: learned scores that another process (the sidecar) keeps up to date; `refresh()` loads them.
            ignore_learned: route by the configured scores alone.
        """
        self.models = tuple(models)
        self._ignore_learned = ignore_learned
        self._file = file
        self._fingerprint: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._learned = learned or LearnedScores()
        self.refresh()

    @classmethod
    def load(cls, path: Path | None, state_folder: Path, *, ignore_learned: bool = False) -> "ModelCatalog":
        """Return the catalog of a YAML file and of the learned scores that a sidecar keeps in a folder.

        Args:
            path: the YAML file; None: no models.
            state_folder: folder of `learned_scores.json` (INSTANCE_AGENT_STATE_DIR). A missing file counts as empty.
            ignore_learned: route by the configured scores alone.

        Raises:
            SettingsError: the YAML cannot be read or is invalid; names the place.
        """
        models = read_catalog_file(path) if path else []
        return cls(models, file=LearnedScoresFile(state_folder), ignore_learned=ignore_learned)

    @property
    def version(self) -> int:
        """The newest score version applied, 0 for none."""
        return self._learned.version

    @property
    def effective(self) -> LearnedScores:
        """The current learned scores; none if they are ignored. Immutable: use the same object for a whole decision."""
        return _NOTHING_LEARNED if self._ignore_learned else self._learned

    def score(self, model: Model, complexity: str, learned: LearnedScores | None = None) -> float | None:
        """Return the score of a model for a complexity: the learned one, else the configured one.

        Args:
            model: a model of the catalog.
            complexity: ``simple``, ``medium`` or ``complex``.
            learned: learned scores to use; None: the current ones.

        Returns:
            The score, 0.0 to 5.0; None if the model has none for this complexity.
        """
        row = (self.effective if learned is None else learned).of(model.name, complexity)
        return row.score if row else model.complexity_scores.get(complexity)  # type: ignore[call-overload]

    def use(self, learned: LearnedScores) -> None:
        """Replace the learned scores, all at once, for the decisions from now on.

        Args:
            learned: every score that counts from now on.
        """
        self._learned = learned

    def refresh(self) -> None:
        """Load the file of learned scores if another process has replaced it. Costs one stat otherwise."""
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
        """Return the effective catalog as `/catalog` and `instance-agent catalog --json` show it.

        Every model of the YAML, then the models that only have learned scores, which are not `routable`.
        """
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
                "mean": row.estimate.mean,
                "n_eff": row.estimate.n_eff,
                "probe_share": row.estimate.probe_share,
            }
            for complexity, row in rows.items()
            if row is not None
        }
