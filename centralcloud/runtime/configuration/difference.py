"""The difference of two states of the configuration, by entry and field. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import Bodies, Change
from centralcloud.runtime.configuration.document import KEY_KIND

#: Never shown: hashes of keys.
_HIDDEN: Final = {(KEY_KIND, "hash")}


class FieldDifference(Struct, frozen=True, kw_only=True):
    """A field that differs.

    Attributes:
        field: its path inside the entry: ``trafficSplit.primary``.
        before, after: its JSON value; None on the side that does not have it.
    """

    field: str
    before: Any
    after: Any


class EntryDifference(Struct, frozen=True, kw_only=True):
    """An entry that differs.

    Attributes:
        change: whether it was ``added``, ``removed`` or ``changed``.
        fields: that differ, of an entry that is on both sides; else empty.
    """

    kind: str
    id: str
    change: Literal["added", "removed", "changed"]
    fields: tuple[FieldDifference, ...] = ()


def difference(before: Bodies, after: Bodies) -> list[EntryDifference]:
    """Return the entries that differ, by kind and id."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        kind, entry_id = key
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if old is None:
            found.append(EntryDifference(kind=kind, id=entry_id, change="added"))
        elif new is None:
            found.append(EntryDifference(kind=kind, id=entry_id, change="removed"))
        else:
            fields = tuple(_fields(kind, old, new))
            found.append(EntryDifference(kind=kind, id=entry_id, change="changed", fields=fields))
    return found


def difference_of(before: Bodies, changes: Iterable[Change]) -> list[EntryDifference]:
    """Return the difference that some changes make."""
    after = dict(before)
    for change in changes:
        body = change.body
        if body is None:
            after.pop((change.kind, change.id), None)
        else:
            after[change.kind, change.id] = body
    return difference(before, after)


def _fields(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[FieldDifference]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after or (kind, name) in _HIDDEN:
            continue
        plain = name.isidentifier()
        field = f"{path}.{name}" if path and plain else name if plain else f"{path}[{quote(name)}]"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _fields(kind, before, after, field)
        else:
            yield FieldDifference(field=field, before=before, after=after)
