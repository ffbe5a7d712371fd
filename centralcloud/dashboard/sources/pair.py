"""Everything that is known about one pair, read for its page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Lookup
from centralcloud.learning.current_scores import UnknownPairError
from centralcloud.monitoring.reports import explain_score
from centralcloud.runtime.postgres.query import Query

_MOST_INSTANCES: Final = 200


class Opinion(NamedTuple):
    """A score of the pair with the numbers behind it: the published one, or that of a rule.

    Attributes:
        rule: also ``pin``, ``rollback`` and other names for a score that an operator has set.
        score: 0 to 5.
        version, updated_at: of the published score; None for that of a rule.
        probe_share: share of the tasks that check the pair although it does not lead.
        latency_penalty, cost_penalty: parts of 1 that are taken off the mean.
    """

    rule: str
    score: float
    reason: str
    samples: int
    success_rate: float | None
    mean: float | None
    low: float | None
    high: float | None
    n_eff: float | None
    probe_share: float | None
    latency_penalty: float | None
    cost_penalty: float | None
    avg_response_time_ms: float | None
    window_start: datetime | None
    version: int | None = None
    updated_at: datetime | None = None


class PairState(NamedTuple):
    """The state of a pair.

    Attributes:
        published: None while no score was published.
        last_reported_score: the score that instances reported last.
        pin_score: while it is pinned, the score; `pinned_until`: the end of the pin, None for one without an end.
        held_since: while a rollback holds it.
        retired_at: when its model was retired.
    """

    published: Opinion | None
    rules: tuple[Opinion, ...]
    last_reported_score: float | None
    pin_score: float | None
    pinned_until: datetime | None
    held_since: datetime | None
    retired_at: datetime | None
    frozen_at: datetime | None
    frozen_reason: str | None
    excluded: tuple[str, ...]


class PairAction(NamedTuple):
    """An operator's action that concerns the pair. `version`: the newest version that it published."""

    id: int
    at: datetime
    who: str
    action: str
    subject: str
    reason: str | None
    version: int | None


class InstanceOutcomes(NamedTuple):
    """The outcomes of the pair that one instance has reported."""

    instance_id: str
    successes: int
    failures: int
    blameless: int


class Outcomes(NamedTuple):
    """The outcomes of the pair in the last 24 hours.

    Attributes:
        errors: failures by kind, blameless ones among them, in the newest 20,000 events of the fleet; "": no kind.
        errors_since: when these events begin; None: they are those of the 24 hours.
    """

    instances: tuple[InstanceOutcomes, ...]
    more_instances: bool
    errors: tuple[tuple[str, int], ...]
    errors_since: datetime | None = None


class _Errors(NamedTuple):
    since: datetime | None
    kind: str | None
    failures: int | None


_LIST_EXCLUDED = Query(__package__, "list_excluded_instances", row=str)
_LIST_ACTIONS = Query(__package__, "list_pair_actions", row=PairAction)
_LIST_INSTANCES = Query(__package__, "list_pair_instances", row=InstanceOutcomes)
_LIST_ERRORS = Query(__package__, "list_pair_errors", row=_Errors)


def _state(connection: psycopg.Connection[Any], model: str, complexity: str) -> PairState | None:
    try:
        known = explain_score(connection, model, complexity)
    except UnknownPairError:
        return None
    pin, hold = known["pin"] or {}, known["hold"] or {}
    return PairState(
        published=_opinion(known["published"]["rule"], known["published"]) if known["published"] else None,
        rules=tuple(_opinion(rule, row) for rule, row in sorted((known["rules"] or {}).items())),
        last_reported_score=known["last_reported_score"],
        pin_score=pin.get("score"),
        pinned_until=_time(pin.get("expires_at")),
        held_since=_time(hold.get("created_at")),
        retired_at=known["retired_at"],
        frozen_at=known["frozen_at"],
        frozen_reason=known["frozen_reason"],
        excluded=tuple(_LIST_EXCLUDED.all(connection, {"model": model, "complexity": complexity})),
    )


def _opinion(rule: str, row: Mapping[str, Any]) -> Opinion:
    return Opinion(
        rule=rule,
        score=float(row["score"]),
        reason=row["reason"],
        samples=row["based_on_samples"],
        success_rate=row.get("success_rate"),
        mean=row["mean"],
        low=row["low"],
        high=row["high"],
        n_eff=row["n_eff"],
        probe_share=row["probe_share"],
        latency_penalty=row["latency_penalty"],
        cost_penalty=row["cost_penalty"],
        avg_response_time_ms=row.get("avg_response_time"),
        window_start=_time(row["window_start"]),
        version=row.get("version"),
        updated_at=_time(row.get("updated_at")),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _actions(connection: psycopg.Connection[Any], model: str, complexity: str) -> tuple[PairAction, ...]:
    return tuple(_LIST_ACTIONS.all(connection, {"pair": f"{model}/{complexity}", "model": model}))


def _outcomes(connection: psycopg.Connection[Any], model: str, complexity: str) -> Outcomes:
    pair = {"model": model, "complexity": complexity}
    instances = _LIST_INSTANCES.all(connection, pair)
    rows = _LIST_ERRORS.all(connection, pair)
    errors = tuple((each.kind, each.failures or 0) for each in rows if each.kind is not None)
    return Outcomes(tuple(instances[:_MOST_INSTANCES]), len(instances) > _MOST_INSTANCES, errors, rows[0].since)


#: Arguments: model, complexity. None for an unknown pair. A pin or a freeze makes no version, so it is read often.
PAIR_STATE: Final = Lookup("pair_state", _state, keep_seconds=5.0)
#: Arguments: model, complexity.
PAIR_ACTIONS: Final = Lookup("pair_actions", _actions, keep_seconds=15.0)
#: Arguments: model, complexity.
PAIR_OUTCOMES: Final = Lookup("pair_outcomes", _outcomes, keep_seconds=60.0)
