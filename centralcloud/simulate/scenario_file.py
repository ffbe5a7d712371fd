"""Scenario files: JSON, checked, with every model name resolved."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.simulate.checked_json import FORM, either, explain, read_json
from centralcloud.simulate.outcome_table import OutcomeSource
from centralcloud.simulate.scenario import (
    ADVERSARY_KINDS,
    MOST_TASK_TYPES,
    Adversary,
    Delay,
    Missing,
    Phase,
    Scenario,
    Weights,
)

_Count = Annotated[int, Field(ge=1, le=100_000_000)]
_Factor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
_Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Tasks = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = FORM


class _Phase(_Part):
    events: _Count
    serve: dict[str, either(str, dict[str, str])] = {}  # type: ignore[valid-type]
    absent: list[str] = []
    slow: dict[str, _Factor] = {}
    price: dict[str, _Factor] = {}
    outage: list[str] = []
    told: bool = False


class _Adversary(_Part):
    instance: Annotated[int, Field(ge=0)]
    kind: Literal[ADVERSARY_KINDS]  # type: ignore[valid-type]
    from_event: Annotated[int, Field(ge=0)] = 0


_DEFAULT: Final = Weights()


class _Weights(_Part):
    latency: _Weight = _DEFAULT.latency
    latency_ref_ms: Annotated[int, Field(gt=0, le=1_000_000_000)] = _DEFAULT.latency_ref_ms
    cost: _Weight = _DEFAULT.cost
    cost_ref_usd: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = _DEFAULT.cost_ref_usd


class _Delay(_Part):
    success: _Tasks = 0.0
    failure: _Tasks = 0.0


class _Missing(_Part):
    latency: _Weight = 0.0
    cost: _Weight = 0.0


class _Scenario(_Part):
    about: str = ""
    models: Annotated[list[str], Field(min_length=1)] | None = None
    instances: Annotated[int, Field(ge=1, le=10_000)] = 10
    tick: either(_Count, Annotated[list[_Count], Field(min_length=1, max_length=10_000)]) = 200  # type: ignore[valid-type]
    complexities: dict[str, _Factor] = {}
    task_types: Annotated[int, Field(ge=0, le=MOST_TASK_TYPES)] = MOST_TASK_TYPES
    phases: Annotated[list[_Phase], Field(min_length=1, max_length=10_000)]
    poison: list[_Adversary] = []
    delay: _Delay = _Delay()
    missing: _Missing = _Missing()
    weights: _Weights = _Weights()


#: The parts of a scenario, by their key: they say which keys are expected inside.
_KEYS: Final[Mapping[str, type[BaseModel]]] = {
    "": _Scenario,
    "phases": _Phase,
    "poison": _Adversary,
    "delay": _Delay,
    "missing": _Missing,
    "weights": _Weights,
}


def read_scenario(path: Path, outcomes: OutcomeSource) -> Scenario:
    """Read a scenario from a JSON file, for a table of outcomes.

    In place of a model name, `@best`, `@2`, `@worst` and `@25%` name one by its rank: in `models` among all models of the
    table, elsewhere among those of the scenario. So a scenario works with any table.

    Raises:
        SettingsError: the file cannot be read or is not a scenario for this table; the message names the place.
    """
    return scenario_from(read_json(path), outcomes, place=str(path))


def scenario_from(written: Any, outcomes: OutcomeSource, *, place: str = "scenario") -> Scenario:
    """Make the scenario that a JSON value describes; error messages begin with `place`.

    Raises:
        SettingsError: as `read_scenario`.
    """
    if not isinstance(written, dict):
        raise SettingsError(f"{place}: found {quote(written)}, expected an object with phases")
    try:
        parts = _Scenario.model_validate(written)
    except ValidationError as error:
        raise SettingsError(f"{place}: {explain(error, _KEYS)}") from None
    return _Resolver(place, parts, outcomes).scenario()


class _Resolver:
    """Resolves the names in a scenario file to models of the table."""

    def __init__(self, place: str, parts: _Scenario, outcomes: OutcomeSource) -> None:
        self._place = place
        self._parts = parts
        self._outcomes = outcomes
        self._models = self._scenario_models()

    def scenario(self) -> Scenario:
        parts = self._parts
        return Scenario(
            models=self._models,
            instances=parts.instances,
            ticks=tuple(parts.tick) if isinstance(parts.tick, list) else (parts.tick,),
            phases=tuple(self._phase(phase, f"phases[{number}]") for number, phase in enumerate(parts.phases)),
            adversaries=self._adversaries(),
            weights=Weights(**parts.weights.model_dump()),
            complexities=self._shares(),
            delay=Delay(**parts.delay.model_dump()),
            missing=Missing(**parts.missing.model_dump()),
            task_types=parts.task_types,
        )

    def _scenario_models(self) -> tuple[str, ...]:
        known = self._outcomes.models
        if self._parts.models is None:
            return known
        chosen: list[str] = []
        for position, name in enumerate(self._parts.models):
            model = self._model(name, f"models[{position}]", known, "the models of the table")
            if model not in chosen:
                chosen.append(model)
            elif not _is_rank(name):  # in a small table two ranks may be the same model
                raise self._wrong(f"models[{position}]", name, "each model once")
        return tuple(chosen)

    def _phase(self, phase: _Phase, place: str) -> Phase:
        serve = {
            self._own(alias, f"{place}.serve"): self._served(answer, f"{place}.serve.{alias}")
            for alias, answer in phase.serve.items()
        }
        absent = frozenset(self._own(name, f"{place}.absent[{i}]") for i, name in enumerate(phase.absent))
        if absent.issuperset(self._models):
            raise SettingsError(f"{self._place}: {place}.absent: found every model, expected one to be left")
        return Phase(
            events=phase.events,
            serve=serve,
            absent=absent,
            slow={self._own(name, f"{place}.slow"): factor for name, factor in phase.slow.items()},
            price={self._own(name, f"{place}.price"): factor for name, factor in phase.price.items()},
            outage=frozenset(self._own(name, f"{place}.outage[{i}]") for i, name in enumerate(phase.outage)),
            told=phase.told,
        )

    def _served(self, answer: str | dict[str, str], place: str) -> dict[str, str]:
        """Return the model that answers at each complexity; it need not be in the catalogs itself."""
        complexities = self._outcomes.complexities
        if isinstance(answer, str):
            return dict.fromkeys(complexities, self._answering(answer, place))
        for complexity in answer:
            if complexity not in complexities:
                raise self._wrong(place, complexity, f"complexities of the table: {', '.join(complexities)}")
        return {complexity: self._answering(name, f"{place}.{complexity}") for complexity, name in answer.items()}

    def _answering(self, name: str, place: str) -> str:
        known = self._models if _is_rank(name) else self._outcomes.models
        return self._model(name, place, known, "the models of the table")

    def _shares(self) -> dict[str, float]:
        shares, known = self._parts.complexities, self._outcomes.complexities
        for complexity in shares:
            if complexity not in known:
                raise self._wrong("complexities", complexity, f"complexities of the table: {', '.join(known)}")
        total = sum(shares.values())
        if shares and not total:
            raise SettingsError(f"{self._place}: complexities: found no share above 0, expected one")
        return {complexity: share / total for complexity, share in shares.items()}

    def _adversaries(self) -> tuple[Adversary, ...]:
        seen: set[int] = set()
        for position, adversary in enumerate(self._parts.poison):
            place = f"poison[{position}].instance"
            if adversary.instance >= self._parts.instances:
                raise self._wrong(place, adversary.instance, f"0 to {self._parts.instances - 1}, one of the instances")
            if adversary.instance in seen:
                raise self._wrong(place, adversary.instance, "each instance once")
            seen.add(adversary.instance)
        return tuple(Adversary(**adversary.model_dump()) for adversary in self._parts.poison)

    def _own(self, name: str, place: str) -> str:
        return self._model(name, place, self._models, "the models of the scenario")

    def _model(self, name: str, place: str, known: Sequence[str], among: str) -> str:
        if name in known:
            return name
        if _is_rank(name):
            ranking = self._outcomes.table(known).ranking()
            position = _position(name, len(ranking))
            if not 0 <= position < len(ranking):
                raise self._wrong(place, name, f"a rank from 1 to {len(ranking)}")
            return ranking[position]
        names = ", ".join(sorted(known)[:30]) + (", ..." if len(known) > 30 else "")
        raise self._wrong(place, name, f"one of {among}: {names}")

    def _wrong(self, place: str, found: Any, expected: str) -> SettingsError:
        return SettingsError(f"{self._place}: {place}: found {quote(found)}, expected {expected}")


_RANK: Final = re.compile(r"@(best|worst|\d{1,6}|(?:100|\d{1,2})%)")


def _is_rank(name: str) -> bool:
    return _RANK.fullmatch(name) is not None


def _position(rank: str, models: int) -> int:
    """The position of a rank, counted from 0. Half a position is rounded to the worse model."""
    text = rank[1:]
    if text == "best":
        return 0
    if text == "worst":
        return models - 1
    if text.endswith("%"):
        return int(int(text[:-1]) / 100 * (models - 1) + 0.5)
    return int(text) - 1
