"""The model catalog: the models of the user's YAML, which is never rewritten, with learned scores in place of its own."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.contracts.task_score import task_scores_to_json
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.model import Model

log = get_logger(__name__)

_NOTHING_LEARNED: Final = LearnedScores()


class CatalogSnapshot(NamedTuple):
    """A state of the catalog. Immutable: use the same one for a whole decision.

    Attributes:
        models: the models of the YAML.
        learned: the learned scores that count; none if they are ignored.
        configuration: providers, endpoints and aliases, for requests that are executed; None in a catalog of models alone.
    """

    models: tuple[Model, ...]
    learned: LearnedScores
    configuration: CatalogConfiguration | None = None

    def score(self, model: Model, complexity: str) -> float | None:
        """Return the score of a model for a complexity: the learned one, else the configured one, else None."""
        row = self.learned.of(model.name, complexity)
        return row.score if row else model.complexity_scores.get(complexity)  # type: ignore[call-overload]

    def for_task_type(self, name: str | None) -> "CatalogSnapshot":
        """Return this state with the learned scores for tasks of one type; the same state for None.

        Args:
            name: of the task type, as `LearnedScores.task_type_of` returns it.
        """
        return self if name is None else self._replace(learned=self.learned.for_task_type(name))


class ModelCatalog:
    """The models that an instance may use, with the current score of each for each complexity. Thread-safe.

    A learned score replaces the configured one. Models that have learned scores but are not in the YAML are shown, and never
    chosen: this instance knows neither their provider nor their capabilities.

    Attributes:
        problem: why the newest edit of the YAML is not used; None: it is.
        before_use: called once, before the next choice; for the child of a fork, whose threads start then.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        learned: LearnedScores | None = None,
        file: LearnedScoresFile | None = None,
        path: Path | None = None,
        ignore_learned: bool = False,
    ) -> None:
        """Create a catalog.

        Args:
            models: the models of the YAML, as `read_catalog_file` returns them.
            learned: the learned scores at the start; None: no scores.
            file: learned scores that another process (the sidecar) keeps up to date; `refresh()` loads them, and a router
                has them loaded in the background.
            path: the YAML, to be read again by `reload()` when it has changed; None: it never is.
            ignore_learned: route by the configured scores alone.
        """
        self.problem: str | None = None
        self.before_use: Callable[[], object] | None = None
        self._ignore_learned = ignore_learned
        self._file = file
        self._path = path
        self._watches = False
        self._fingerprint: Fingerprint | None = None
        self._path_fingerprint = fingerprint_of(path) if path else None
        self._lock = threading.Lock()
        self._loader: threading.Thread | None = None
        self._learned = learned or LearnedScores()
        self._configuration: CatalogConfiguration | None = None
        self._snapshot = self.next(models=tuple(models))
        self.refresh()

    @classmethod
    def load(cls, path: Path | None, state_folder: Path, *, ignore_learned: bool = False) -> "ModelCatalog":
        """Return the catalog of a YAML file and of the learned scores that a sidecar keeps in a folder.

        Both are read again when they have changed, in the background of a router's requests. An edit of the YAML that is not
        valid is logged, and not used.

        Args:
            path: the YAML file; None: no models.
            state_folder: folder of `learned_scores.json` (INSTANCE_AGENT_STATE_DIR). A missing file counts as empty.
            ignore_learned: route by the configured scores alone.

        Raises:
            SettingsError: the YAML cannot be read or is invalid; names the place.
        """
        fingerprint = fingerprint_of(path) if path else None
        models = read_catalog_file(path) if path else []
        catalog = cls(models, file=LearnedScoresFile(state_folder), path=path, ignore_learned=ignore_learned)
        catalog._path_fingerprint = fingerprint  # an edit while it was read is read again
        catalog._watches = True
        return catalog

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the YAML."""
        return self._snapshot.models

    @property
    def snapshot(self) -> CatalogSnapshot:
        """The current state."""
        return self._snapshot

    @property
    def version(self) -> int:
        """The newest score version applied, 0 for none."""
        return self._learned.version

    @property
    def effective(self) -> LearnedScores:
        """The current learned scores; none if they are ignored. Immutable."""
        return self._snapshot.learned

    def score(self, model: Model, complexity: str) -> float | None:
        """Return the current score of a model for a complexity: the learned one, else the configured one.

        Args:
            model: a model of the catalog.
            complexity: ``simple``, ``medium`` or ``complex``.

        Returns:
            The score, 0.0 to 5.0; None if the model has none for this complexity.
        """
        return self._snapshot.score(model, complexity)

    def next(
        self,
        *,
        models: tuple[Model, ...] | None = None,
        learned: LearnedScores | None = None,
        configuration: CatalogConfiguration | None = None,
    ) -> CatalogSnapshot:
        """Return the state that `use`, `use_models` or `use_configuration` with these would lead to, so that a router can
        prepare for it.

        Args:
            models: instead of the current ones.
            learned: instead of the current scores.
            configuration: instead of the current one and its models.
        """
        effective = _NOTHING_LEARNED if self._ignore_learned else (self._learned if learned is None else learned)
        if configuration is not None:
            return CatalogSnapshot(configuration.models, effective, configuration)
        return CatalogSnapshot(self.models if models is None else models, effective, self._configuration)

    def use(self, learned: LearnedScores) -> None:
        """Replace the learned scores, all at once, for the decisions from now on.

        Args:
            learned: every score that counts from now on.
        """
        with self._lock:
            self._learned = learned
            self._snapshot = self.next()

    def use_models(self, models: Sequence[Model]) -> None:
        """Replace the models, all at once, for the decisions from now on.

        Args:
            models: every model that may be chosen from now on.
        """
        with self._lock:
            self._snapshot = self.next(models=tuple(models))

    def use_configuration(self, configuration: CatalogConfiguration) -> None:
        """Replace models, providers, endpoints and aliases, all at once, for the requests from now on.

        Args:
            configuration: as `CatalogSource.build` returns it. It comes from there alone: give the catalog no path.
        """
        with self._lock:
            self._snapshot = self.next(configuration=configuration)
            self._configuration = configuration

    def refresh(self) -> None:
        """Load the files that another process has replaced, before it returns. Costs one stat for each file otherwise."""
        if self._watches:
            self.reload()
        if self._file is None:
            return
        fingerprint = self._file.fingerprint()
        if fingerprint == self._fingerprint:
            return
        learned = self._file.read()
        with self._lock:
            self._learned = learned
            self._fingerprint = fingerprint
            self._snapshot = self.next()

    def refresh_in_background(self) -> None:
        """Start to load the files that another process has replaced: a request must not wait until they are read.

        Costs one stat for each file when nothing has changed. The requests of the meantime use the current state.
        """
        if (start := self.before_use) is not None:
            self.before_use = None
            start()
        if not self._files_have_changed():
            return
        with self._lock:
            if self._loader is not None and self._loader.is_alive():
                return
            self._loader = threading.Thread(target=self.refresh, name="catalog-loader", daemon=True)
            try:
                self._loader.start()
                return
            except RuntimeError:  # at the end of the interpreter no thread can start
                self._loader = None
        self.refresh()

    def reload(self, *, force: bool = False) -> bool:
        """Read the YAML again if it has changed. One that is not valid is logged; the current models stay.

        Args:
            force: also if its time, size and inode are those of the last read.

        Returns:
            Whether other models are used now.
        """
        models = self.read_models(force=force)
        if models is not None:
            self.use_models(models)
        return models is not None

    def read_models(self, *, force: bool = False) -> tuple[Model, ...] | None:
        """Read the YAML as `reload` does, without using it yet.

        Args:
            force: as for `reload`.

        Returns:
            The models to use from now on; None: it has not changed, or is not valid.
        """
        if self._path is None:
            return None
        fingerprint = fingerprint_of(self._path)
        if fingerprint == self._path_fingerprint and not force:
            return None
        self._path_fingerprint = fingerprint
        try:
            models = tuple(read_catalog_file(self._path))
        except SettingsError as error:
            self.problem = str(error)
            log.error("catalog_invalid", reason=self.problem, effect="the models of the last valid catalog stay in use")
            return None
        changed = self.problem is not None or models != self.models
        self.problem = None
        if not changed:
            return None
        log.info("catalog_reloaded", path=str(self._path), models=len(models))
        return models

    def after_fork(self) -> None:
        """Replace the lock, in the child of a fork."""
        self._lock = threading.Lock()

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

    def _files_have_changed(self) -> bool:
        if self._watches and self._path is not None and fingerprint_of(self._path) != self._path_fingerprint:
            return True
        return self._file is not None and self._file.fingerprint() != self._fingerprint

    def _model_json(self, model: Model) -> dict[str, Any]:
        effective = {complexity: self.score(model, complexity) for complexity in COMPLEXITIES}
        return {
            **model.model_dump(mode="json"),
            "capabilities": sorted(model.capabilities),
            "tags": sorted(model.tags),
            "complexity_scores": {name: score for name, score in effective.items() if score is not None},
            "configured_scores": dict(model.complexity_scores),
            "learned": self._learned_json(model.name),
            "routable": model.status == "active",
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
                "draw_n": row.estimate.draw_n,
                "probe_share": row.estimate.probe_share,
                **({"task_types": task_scores_to_json(row.task_types)} if row.task_types else {}),
            }
            for complexity, row in rows.items()
            if row is not None
        }
