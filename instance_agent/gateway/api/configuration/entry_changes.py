"""Changes of single entries: each decides from the configuration now. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import Change, ConfigurationEntry, put, remove
from centralcloud.runtime.configuration.writing import Current, Decide
from instance_agent.gateway.errors import GatewayError, InvalidFieldError


def create(entry: ConfigurationEntry) -> Decide:
    """Return the change that adds an entry; 409 for an id that is there."""
    change = put(entry)

    def decide(current: Current) -> Sequence[Change]:
        if (change.kind, change.id) in current.bodies:
            raise GatewayError(
                f"the {change.kind} {quote(change.id)} exists already, expected another name or id",
                status=409,
                code=f"{change.kind}_exists",
            )
        return [change]

    return decide


def set_entry(entry: ConfigurationEntry, created: list[bool]) -> Decide:
    """Return the change that adds or replaces an entry; `created` gets whether it was not there before."""
    change = put(entry)

    def decide(current: Current) -> Sequence[Change]:
        created[:] = [(change.kind, change.id) not in current.bodies]
        return [change]

    return decide


def patch(
    kind: str,
    entry_id: str,
    wanted: Mapping[str, Any],
    parse: Callable[[Any], ConfigurationEntry],
    id_field: str = "id",
) -> Decide:
    """Return the change of some fields of an entry, as a JSON merge patch (RFC 7396); 404 without the entry.

    Args:
        id_field: the field that names the entry, and cannot be changed.
    """

    def decide(current: Current) -> Sequence[Change]:
        body = current.bodies.get((kind, entry_id))
        if body is None:
            raise not_found(kind, entry_id)
        if wanted.get(id_field, entry_id) != entry_id:
            found = f"{id_field}: found {quote(wanted[id_field])}, expected {quote(entry_id)}: it cannot be changed"
            raise InvalidFieldError(id_field, found)
        return [put(parse(merge_patch(body, wanted)))]

    return decide


def delete(kind: str, entry_id: str) -> Decide:
    """Return the change that removes an entry; 404 without it."""

    def decide(current: Current) -> Sequence[Change]:
        if (kind, entry_id) not in current.bodies:
            raise not_found(kind, entry_id)
        return [remove(kind, entry_id)]

    return decide


def merge_patch(value: Any, wanted: Any) -> Any:
    """Return a JSON value after a merge patch: objects are merged, null removes a field, everything else replaces."""
    if not isinstance(wanted, Mapping):
        return wanted
    merged = dict(value) if isinstance(value, Mapping) else {}
    for name, each in wanted.items():
        if each is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), each)
    return merged


def not_found(kind: str, entry_id: str) -> GatewayError:
    """Return 404 for an entry."""
    return GatewayError(
        f"found no {kind} {quote(entry_id)}, expected one that is configured, with / as %2F in a path",
        status=404,
        code=f"{kind}_not_found",
    )
