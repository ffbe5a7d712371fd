"""Published changes of scores as a list: those that one run or one action published are together. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.addresses import pair_url
from centralcloud.dashboard.pages.words import change_title
from centralcloud.dashboard.sources.history import PublishedScore
from centralcloud.runtime.wording import counted

#: So many changes at one moment are folded into one line.
_FOLDED: Final = 4
_STATES: Final = {"pin": "note", "rollback": "look", "alarm": "bad", "quarantine": "look"}
_BY_OPERATOR: Final = ("pin", "rollback", "experiment", "renamed", "reinstated", "retired")


class ChangeRow(NamedTuple):
    """A change. `moved`: "up", "down" or "" where only the evidence has grown; `state`: of its badge; empty: none."""

    version: int
    at: datetime
    model: str
    complexity: str
    url: str
    old_score: float | None
    new_score: float
    moved: str
    title: str
    state: str
    reason: str


class ChangeGroup(NamedTuple):
    """Changes that were published together; `title` says so where they are folded, else it is empty."""

    at: datetime
    first_version: int
    last_version: int
    title: str
    state: str
    alarms: int
    largest: ChangeRow
    rows: tuple[ChangeRow, ...]


def row_of(change: PublishedScore) -> ChangeRow:
    """Return how a change is shown."""
    kind = change.rule if change.rule in _BY_OPERATOR else change.kind
    if kind == "alarm" and not change.alarm:
        kind = "steady"  # the window began with an alarm that was raised earlier
    elif change.alarm:
        kind = "alarm"
    return ChangeRow(
        change.version,
        change.at,
        change.model,
        change.complexity,
        pair_url(change.model, change.complexity),
        change.old_score,
        change.new_score,
        _moved(change.old_score, change.new_score),
        change_title(kind),
        _STATES.get(kind, ""),
        change.reason,
    )


def page_of(changes: Sequence[PublishedScore], most: int) -> tuple[tuple[ChangeGroup, ...], int | None]:
    """Return the groups of one page, and the version before which the next page begins; None on the last one.

    Changes that were published together stay on one page, unless they alone are more than a page.

    Args:
        changes: newest first, one more than a page where there are older ones.
        most: changes of a page.
    """
    if len(changes) <= most:
        return group(changes), None
    shown = list(changes[:most])
    whole = [each for each in shown if _together(each) != _together(changes[most])]
    return group(whole or shown, cut=not whole), (whole or shown)[-1].version


def _together(change: PublishedScore) -> tuple[datetime, int | None]:
    return change.at, change.run_id


def group(changes: Sequence[PublishedScore], *, cut: bool = False) -> tuple[ChangeGroup, ...]:
    """Return changes, newest first, grouped by the moment at which they were published.

    Args:
        cut: whether the last group has more than these.
    """
    groups = []
    for (at, _), together in groupby(changes, key=_together):
        published = list(together)
        rows = tuple(map(row_of, published))
        largest = max(rows, key=lambda row: abs(row.new_score - (row.old_score or 0.0)))
        title = _title(published, cut=cut) if len(rows) >= _FOLDED else ""
        alarms = sum(change.alarm for change in published)
        groups.append(
            ChangeGroup(
                at, rows[-1].version, rows[0].version, title, largest.state if title else "", alarms, largest, rows
            )
        )
    return tuple(groups)


def _title(changes: Sequence[PublishedScore], *, cut: bool) -> str:
    number = f"{'more than ' if cut else ''}{counted(len(changes), 'score')}"
    if changes[0].rule == "rollback":
        return f"A rollback changed {number}"
    if changes[0].rule == "experiment":
        return f"A promoted experiment changed {number}"
    if changes[0].run_id is not None:
        return f"A run of the learner changed {number}"
    return f"An operator changed {number}"


def _moved(before: float | None, after: float) -> str:
    if before is None or before == after:
        return ""
    return "up" if after > before else "down"
