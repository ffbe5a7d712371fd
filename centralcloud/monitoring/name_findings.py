"""The rule that detects instances with too many new model names. Pure: rows in, findings out."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from centralcloud.contracts.limits import OTHER
from centralcloud.ingest.name_limits import NameLimits
from centralcloud.runtime.wording import counted
from centralcloud.store.findings import Finding

NEW_NAMES_REFUSED: Final = "new_names_refused"
_PER_INSTANCE: Final = "names.new_per_instance"
_PER_FLEET: Final = "names.new_per_fleet"


class RefusedNames(NamedTuple):
    """The names of one instance beyond the limit in the newest 24 hours: the columns of ``refused_names.sql``.

    Attributes:
        names: at least one; a name counts once for each batch that had it.
        events: the events with these names.
        example: the newest of these names.
        used_up_own: whether it used up the limit of an instance in one of these hours.
        fleet_used_up: whether the fleet used up its limit in one of these hours in which the instance did not.
    """

    instance_id: str
    names: int
    events: int
    example: str
    used_up_own: bool
    fleet_used_up: bool


def detect_refused_names(refused: Iterable[RefusedNames], limits: NameLimits) -> Iterator[Finding]:
    """Yield one finding for each instance: which limit its names are beyond, and how to act.

    Args:
        limits: those in use. If neither was used up, they were smaller then.
    """
    for each in refused:
        reasons, advice, reached = [], [], []
        if each.used_up_own:
            reached.append(_PER_INSTANCE)
            reasons.append(f"it used more than {_PER_INSTANCE} ({limits.new_per_instance:,}) allows in an hour")
            advice.append(f"correct the names that it sends, or raise {_PER_INSTANCE} if its catalog is that large")
        if each.fleet_used_up:
            reached.append(_PER_FLEET)
            reasons.append(f"all instances together used up {_PER_FLEET} ({limits.new_per_fleet:,}) in an hour")
            advice.append(
                "look in routing_records which instances send so many names and correct them, "
                f"or raise {_PER_FLEET} if the fleet's catalogs are new"
            )
        if not reached:
            reasons.append("they were beyond a limit that was changed since")
            advice.append("nothing needs to be done if the new limit is wanted")
        yield Finding(
            NEW_NAMES_REFUSED,
            each.instance_id,
            f"new model names of {each.instance_id} were refused: {', and '.join(reasons)}. "
            f"{counted(each.events, 'event')} of the last 24 hours, with names such as {each.example!r}, "
            f"{'is' if each.events == 1 else 'are'} recorded under the model {OTHER}: {'; '.join(advice)}",
            {
                "instance": each.instance_id,
                "names": each.names,
                "events": each.events,
                "example": each.example,
                "limits": reached,
            },
        )
