"""Conditions of rules, compiled once: a closure for each, which takes about a microsecond. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from centralcloud.contracts.fleet_configuration import Condition, TimeOfDay
from centralcloud.contracts.fleet_configuration.condition import WEEKDAYS

#: A level without a number counts as the middle of its range: 1 to 3, 4 to 6, 7 to 10.
MIDDLE: Final = {"simple": 2, "medium": 5, "complex": 8}


class Facts(NamedTuple):
    """A request, as far as conditions depend on it.

    Attributes:
        level, complexity: both are always known.
        characters: of the texts of the request.
        times: whether each part of the day of `Clock` is now.
    """

    agent_type: str | None
    request_type: str | None
    workspace: str | None
    task_type: str | None
    level: str
    complexity: int
    characters: int
    tags: frozenset[str]
    times: tuple[bool, ...]


Test: TypeAlias = Callable[[Facts], bool]


class Clock:
    """The parts of the day that conditions name, evaluated at most once a minute for all requests."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        found = (each.time_of_day for condition in conditions for each in every(condition))
        self._parts = list(dict.fromkeys(part for part in found if part is not None))
        self._zones = [ZoneInfo(part.timezone) for part in self._parts]
        self._now: tuple[int, tuple[bool, ...]] = -1, (False,) * len(self._parts)

    def position(self, part: TimeOfDay) -> int:
        """Return the position of a part of the day in `at`."""
        return self._parts.index(part)

    def at(self, now: float) -> tuple[bool, ...]:
        """Return whether each part of the day is at a time, in seconds since 1970."""
        if not self._parts:
            return ()
        minute, found = self._now
        if minute != int(now // 60):
            moment = datetime.fromtimestamp(now, UTC)
            found = tuple(_is_in(part, moment, zone) for part, zone in zip(self._parts, self._zones, strict=True))
            self._now = int(now // 60), found
        return found


class Vocabulary:
    """The values that conditions name: all others are one, so that requests have few different facts."""

    def __init__(self, conditions: Sequence[Condition], **more: Sequence[str]) -> None:
        """Collect them; `more`: other labels that count, by the name of the field."""
        nested = [each for condition in conditions for each in every(condition)]
        self.agent_type, self.request_type, self.workspace, self.task_type = (
            {
                label: label
                for label in [*more.get(name, ()), *(text for each in nested for text in getattr(each, name))]
            }
            for name in ("agent_type", "request_type", "workspace", "task_type")
        )
        self.tags = frozenset(tag for each in nested for tag in each.tags)
        lengths = [each.content_length for each in nested if each.content_length is not None]
        lows = {each.min for each in lengths if each.min is not None}
        self._bounds = sorted(lows | {each.max + 1 for each in lengths if each.max is not None})

    def length_bucket(self, characters: int) -> int:
        """Return the number of a range of lengths, in which all conditions say the same."""
        return bisect_right(self._bounds, characters)


def every(condition: Condition) -> Iterator[Condition]:
    """Return a condition and all that are inside it."""
    yield condition
    for each in condition.any_of:
        yield from every(each)
    if condition.not_ is not None:
        yield from every(condition.not_)


def compiled(condition: Condition, clock: Clock) -> Test:
    """Return the test of a condition: all that it sets must hold."""
    tests = list(_tests(condition, clock))
    if not tests:
        return lambda _facts: True
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda facts: first(facts) and second(facts)
    return lambda facts: all(test(facts) for test in tests)


def _tests(condition: Condition, clock: Clock) -> Iterator[Test]:
    for name in ("agent_type", "request_type", "workspace", "task_type"):
        if labels := getattr(condition, name):
            yield _one_of(Facts._fields.index(name), frozenset(labels))
    if condition.tags:
        tags = frozenset(condition.tags)
        yield lambda facts: not tags.isdisjoint(facts[7])
    if (length := condition.content_length) is not None:
        yield _between(Facts._fields.index("characters"), length.min, length.max)
    if isinstance(condition.complexity, tuple):
        yield _one_of(Facts._fields.index("level"), frozenset(condition.complexity))
    elif condition.complexity is not None:
        bounds = condition.complexity
        yield _between(Facts._fields.index("complexity"), bounds.min, bounds.max)
    if condition.time_of_day is not None:
        position = clock.position(condition.time_of_day)
        yield lambda facts: facts[8][position]
    if condition.any_of:
        inner = [compiled(each, clock) for each in condition.any_of]
        yield lambda facts: any(test(facts) for test in inner)
    if condition.not_ is not None:
        negated = compiled(condition.not_, clock)
        yield lambda facts: not negated(facts)


def _one_of(field: int, labels: frozenset[str]) -> Test:
    return lambda facts: facts[field] in labels


def _between(field: int, low: int | None, high: int | None) -> Test:
    at_least = -1 if low is None else low
    if high is None:
        return lambda facts: facts[field] >= at_least  # type: ignore[operator]
    return lambda facts: at_least <= facts[field] <= high  # type: ignore[operator]


def _is_in(part: TimeOfDay, moment: datetime, zone: ZoneInfo) -> bool:
    """Whether a part of the day is at a moment. One that ends on the next day belongs to the day on which it begins."""
    local = moment.astimezone(zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    begin = part.begins.hour * 60 + part.begins.minute
    end = part.ends.hour * 60 + part.ends.minute
    if begin < end:
        return begin <= minute < end and _on(part, day)
    if minute >= begin:
        return _on(part, day)
    return minute < end and _on(part, (day - 1) % 7)


def _on(part: TimeOfDay, day: int) -> bool:
    return not part.days or WEEKDAYS[day] in part.days
