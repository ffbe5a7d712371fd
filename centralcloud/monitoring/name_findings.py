"""The rule that detects instances with too many new model names. Pure: rows in, findings out."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from centralcloud.contracts.limits import OTHER
from centralcloud.runtime.wording import counted
from centralcloud.store.findings import Finding

NEW_NAMES_REFUSED: Final = "new_names_refused"


class RefusedNames(NamedTuple):
    """The names of one instance beyond the limit in the newest 24 hours: the columns of ``refused_names.sql``.

    Attributes:
        names: at least one; a name counts once for each batch that had it.
        events: the events with these names.
        example: the newest of these names.
    """

    instance_id: str
    names: int
    events: int
    example: str


def detect_refused_names(refused: Iterable[RefusedNames]) -> Iterator[Finding]:
    """Yield one finding for each instance."""
    for each in refused:
        yield Finding(
            NEW_NAMES_REFUSED,
            each.instance_id,
            f"{each.instance_id} used more new model names in an hour than names.new_per_instance or names.new_per_fleet "
            f"allows: {counted(each.events, 'event')} of the last 24 hours, with names such as {each.example!r}, are "
            f"recorded under the model {OTHER}",
            {"instance": each.instance_id, "names": each.names, "events": each.events, "example": each.example},
        )
