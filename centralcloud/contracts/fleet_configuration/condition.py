"""The condition of a rule: which requests it is for. Pure.

Conditions have no expression language: each is a value that is checked once and then compared in microseconds. Everything
that it sets must hold; of a list, one item is enough.
"""

import re
from datetime import time
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.values import MAX_LABEL_LENGTH, Entry, Label, check_name

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Level = Literal["simple", "medium", "complex"]
#: Every level of `any_of` and `not` is one more.
_MAX_NESTING: Final = 8
_MAX_ITEMS: Final = 100

Characters = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
TenPoint = Annotated[int, msgspec.Meta(ge=1, le=10)]
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
Labels = tuple[Label, ...]


class ContentLength(Entry, frozen=True):
    """A range of lengths, both ends included.

    Attributes:
        min, max: characters of the request's texts; None: no bound.
    """

    min: Characters | None = None
    max: Characters | None = None


class ComplexityRange(Entry, frozen=True):
    """A range of complexities from 1 to 10, both ends included. A request that has only a level counts as its middle.

    Attributes:
        min, max: None: no bound.
    """

    min: TenPoint | None = None
    max: TenPoint | None = None


class TimeOfDay(Entry, frozen=True):
    """A part of each day.

    Attributes:
        from_: its first minute, ``HH:MM``.
        to: the first minute after it; not later than `from_`: it ends on the next day.
        days: on which it begins; empty: every day.
        timezone: an IANA name, whose clock `from_` and `to` are of.
    """

    from_: str = msgspec.field(name="from")
    to: str = msgspec.field(name="to")
    days: tuple[Weekday, ...] = ()
    timezone: Label = "UTC"

    @property
    def begins(self) -> time:
        """The first minute."""
        return time.fromisoformat(self.from_)

    @property
    def ends(self) -> time:
        """The first minute after it."""
        return time.fromisoformat(self.to)


class Condition(Entry, frozen=True):
    """A condition on requests. Without any field, every request fulfils it.

    Attributes:
        agent_type, request_type, workspace, task_type: the request's own is one of these.
        content_length: of the texts of the request.
        complexity: a range from 1 to 10, or levels of which the request has one.
        tags: the request has one of them.
        time_of_day: when the request arrives.
        any_of: one of these conditions holds.
        not_: this condition does not hold.
    """

    agent_type: Labels = ()
    request_type: Labels = ()
    content_length: ContentLength | None = None
    workspace: Labels = ()
    task_type: Labels = ()
    complexity: ComplexityRange | tuple[Level, ...] | None = None
    tags: Labels = ()
    time_of_day: TimeOfDay | None = None
    any_of: tuple["Condition", ...] = msgspec.field(default=(), name="any_of")
    not_: "Condition | None" = msgspec.field(default=None, name="not")


def check_condition(condition: Condition, field: str, nesting: int = 1) -> None:
    """Check what the types do not say.

    Raises:
        ContractError: names the path of the field, such as ``condition.contentLength.min``.
    """
    if nesting > _MAX_NESTING:
        raise ContractError(field, "conditions that are nested more deeply", f"at most {_MAX_NESTING} levels")
    for name in ("agent_type", "request_type", "workspace", "task_type", "tags"):
        path = f"{field}.{Condition.__struct_encode_fields__[Condition.__struct_fields__.index(name)]}"
        check_labels(getattr(condition, name), path)
    for name, bounds in (("contentLength", condition.content_length), ("complexity", condition.complexity)):
        if isinstance(bounds, tuple) or bounds is None:
            continue
        if bounds.min is None and bounds.max is None:
            raise ContractError(f"{field}.{name}", "neither min nor max", "at least one of them")
        if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
            raise ContractError(f"{field}.{name}.min", str(bounds.min), f"at most max, which is {bounds.max}")
    if condition.time_of_day is not None:
        _check_time_of_day(condition.time_of_day, f"{field}.timeOfDay")
    if len(condition.any_of) > _MAX_ITEMS:
        raise ContractError(f"{field}.any_of", f"{len(condition.any_of)} items", f"at most {_MAX_ITEMS}")
    for position, each in enumerate(condition.any_of):
        check_condition(each, f"{field}.any_of[{position}]", nesting + 1)
    if condition.not_ is not None:
        check_condition(condition.not_, f"{field}.not", nesting + 1)


def _check_time_of_day(part: TimeOfDay, field: str) -> None:
    for name, text in (("from", part.from_), ("to", part.to)):
        if not _CLOCK.fullmatch(text):
            raise ContractError(f"{field}.{name}", quote(text), "a time from 00:00 to 23:59 in the form HH:MM")
    check_timezone(part.timezone, f"{field}.timezone")


def check_labels(labels: Labels, field: str, max_length: int = MAX_LABEL_LENGTH) -> None:
    """Check a list of names.

    Raises:
        ContractError: a name is not one, is there twice, or there are too many.
    """
    if len(labels) > _MAX_ITEMS:
        raise ContractError(field, f"{len(labels)} items", f"at most {_MAX_ITEMS}")
    for position, label in enumerate(labels):
        check_name(label, f"{field}[{position}]", max_length)
        if label in labels[:position]:
            raise ContractError(f"{field}[{position}]", f"{quote(label)} a second time", "each once")


def check_timezone(name: str, field: str) -> ZoneInfo:
    """Return the time zone of a name.

    Raises:
        ContractError: the zone is not known.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ContractError(field, quote(name), "a time zone of the IANA database, such as Europe/Berlin") from None
