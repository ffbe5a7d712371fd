"""The limit of new model names. A name beyond it is not a model: its events are recorded under the model `(other)`.

Without a limit, one login that sends random names makes as many pairs, findings, metrics and scores. The limit is applied
once, before anything of a batch is written, so records, counters, evidence, roll-ups and every recount of them agree. The
event is kept: its record has the reported name in `extra`. Such a name is new again in the next hour.
"""

from typing import Any, Final, NamedTuple

import psycopg
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from centralcloud.contracts.errors import quote
from centralcloud.contracts.json_text import encode_extra
from centralcloud.contracts.limits import MAX_INT8, OTHER, REPORTED_MODEL_KEY
from centralcloud.ingest.batch import Deduplicated, ReceivedEvent
from centralcloud.ingest.unusable_settings import UnusableSettings
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.validation import expectation

log = get_logger(__name__)


class NameLimits(BaseModel):
    """Limits of the model names that are new in an hour (UTC, by the database's clock); 0: no limit.

    Attributes:
        new_per_instance: names that the events of one instance may bring.
        new_per_fleet: names that the events of all instances together may bring: a login that is not bound to one instance
            may send for any number of them.
    """

    model_config = ConfigDict(frozen=True)

    new_per_instance: int = Field(default=200, ge=0, le=1_000_000)
    new_per_fleet: int = Field(default=2000, ge=0, le=1_000_000)


class RefusedNames(NamedTuple):
    """Names of one instance that are beyond the limit: how many, in how many events, and one of them."""

    instance_id: str
    names: int
    events: int
    example: str


class _Setting(NamedTuple):
    name: str
    value: Any


_UNKNOWN_MODELS = Query(__package__, "unknown_models", row=str)
_NAME_LIMITS = Query(__package__, "name_limits", row=_Setting)
_LOCK_NEW_NAMES = Query(__package__, "lock_new_names", row=int)
_GRANT_NEW_NAMES = Query(__package__, "grant_new_names", row=str)
_COUNT_REFUSED_NAMES = Query(__package__, "count_refused_names", row=str)
_UNUSABLE: Final = UnusableSettings()


def limit_new_names(
    connection: psycopg.Connection[Any], deduplicated: Deduplicated
) -> tuple[Deduplicated, list[RefusedNames]]:
    """Return the events to record, those with a new name beyond the limits under `OTHER`, and what was beyond them.

    The first names of a batch are within the limit, in the order of their messages. `count_refused_names` must be called
    with the second result before the transaction ends.
    """
    names = {received.event.model for received in deduplicated.accepted}
    unknown = set(_UNKNOWN_MODELS.all(connection, {"models": list(names)}))
    if not unknown:
        return deduplicated, []
    first_used_by: dict[str, str] = {}
    for received in deduplicated.accepted:
        first_used_by.setdefault(received.event.model, received.event.instance_id)
    new = [(name, instance_id) for name, instance_id in first_used_by.items() if name in unknown]
    refused = unknown - set(_granted(connection, new))
    if not refused:
        return deduplicated, []
    accepted = [
        _under_other(received) if received.event.model in refused else received for received in deduplicated.accepted
    ]
    return deduplicated._replace(accepted=accepted), _counted(deduplicated.accepted, refused)


def count_refused_names(connection: psycopg.Connection[Any], refused: list[RefusedNames]) -> None:
    """Count what was beyond the limits. Writes one log event for each batch with an instance that is new among them."""
    if not refused:
        return
    columns = zip(*sorted(refused), strict=True)
    names = ("instance_ids", "names", "events", "examples")
    first = set(_COUNT_REFUSED_NAMES.all(connection, dict(zip(names, map(list, columns), strict=True))))
    if new := [each for each in refused if each.instance_id in first]:
        log.warning(
            "new_model_names_refused",
            instances=len(new),
            instance_id=new[0].instance_id,
            names=sum(each.names for each in new),
            example=new[0].example,
            effect=f"their events are recorded under the model {OTHER}",
        )


def read_name_limits(connection: psycopg.Connection[Any]) -> NameLimits:
    """Return the limits in use: those of the database, the built-in ones where it has none that can be used."""
    limits, unusable = _usable_limits({each.name: each.value for each in _NAME_LIMITS.all(connection)})
    if _UNUSABLE.changed(connection, unusable):
        if unusable is None:
            log.info("name_limits_restored")
        else:
            effect = "the built-in limit is used; `centralcloud settings set` changes the value"
            log.error("name_limits_unusable", reason=unusable, effect=effect)
    return limits


def as_parameters(limits: NameLimits) -> dict[str, int]:
    """Return the parameters of a query that compares counts with the limits: no limit is the largest number."""
    return {"per_instance": limits.new_per_instance or MAX_INT8, "per_fleet": limits.new_per_fleet or MAX_INT8}


def _granted(connection: psycopg.Connection[Any], new: list[tuple[str, str]]) -> list[str]:
    """Return the names that are within the limits: of each instance, and of the fleet."""
    names, instance_ids = zip(*new, strict=True)
    limits = as_parameters(read_name_limits(connection))
    parameters = {"names": list(names), "instance_ids": list(instance_ids), **limits}
    # Two statements, so that the second sees what the transaction has granted that the first has waited for.
    if _LOCK_NEW_NAMES.maybe(connection, parameters) is None:
        return []
    return _GRANT_NEW_NAMES.all(connection, parameters)


def _usable_limits(stored: dict[str, Any]) -> tuple[NameLimits, str | None]:
    """Return the limits, the built-in one in place of a value that cannot be used, and why it cannot."""
    try:
        return NameLimits(**stored), None
    except ValidationError as error:
        wrong = {str(each["loc"][0]): expectation(each) for each in error.errors()}
    reason = "; ".join(
        f"fleet_settings: names.{name} is {quote(stored[name])}: {expected}" for name, expected in wrong.items()
    )
    return NameLimits(**{name: value for name, value in stored.items() if name not in wrong}), reason


def _under_other(received: ReceivedEvent) -> ReceivedEvent:
    """Return the event under `OTHER`. Its `extra` is not encoded again: JSON may be too deeply nested for that."""
    reported = encode_extra({REPORTED_MODEL_KEY: received.event.model})
    extra = reported if received.extra is None else reported[:-1] + b"," + received.extra[1:]
    return structs.replace(received, event=structs.replace(received.event, model=OTHER), extra=extra)


def _counted(accepted: list[ReceivedEvent], refused: set[str]) -> list[RefusedNames]:
    by_instance: dict[str, list[str]] = {}
    for received in accepted:
        if received.event.model in refused:
            by_instance.setdefault(received.event.instance_id, []).append(received.event.model)
    return [RefusedNames(each, len(set(names)), len(names), names[-1]) for each, names in by_instance.items()]
