"""Values before and after an action, in words. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.pages.words import pair_words, spoken
from centralcloud.dashboard.web import formats
from centralcloud.runtime.wording import and_more

#: Changes that are listed of one action.
MOST_CHANGES: Final = 12

_LONGEST: Final = 160

NOTHING: Final = "none"

Values = Mapping[str, Any]


class Change(NamedTuple):
    """One thing that an action changed, in words. A side is empty where there is nothing on it."""

    name: str
    before: str
    after: str


def changed_scores(before_values: Values, after_values: Values) -> tuple[tuple[Change, ...], int]:
    """Return the scores before and after, those that moved most first, and how many more there are."""
    before, after = _mapping(before_values.get("scores")), _mapping(after_values.get("scores"))

    def moved(subject: str) -> float:
        old, new = before.get(subject), after.get(subject)
        if isinstance(old, (int, float)) and isinstance(new, (int, float)):
            return abs(new - old)
        return 5.0

    subjects = sorted({*before, *after}, key=lambda each: (-moved(each), each))
    changes = [
        Change(pair_words(each), score_words(before.get(each)), score_words(after.get(each))) for each in subjects
    ]
    return tuple(changes[:MOST_CHANGES]), max(0, len(changes) - MOST_CHANGES)


def changed_entries(before_values: Values, after_values: Values) -> Iterator[Change]:
    """Yield the fields of entries of the configuration that differ."""
    before, after = _mapping(before_values.get("entries")), _mapping(after_values.get("entries"))
    for entry in sorted({*before, *after}):
        old, new = before.get(entry), after.get(entry)
        name = entry_words(entry)
        if not isinstance(old, dict) or not isinstance(new, dict):
            yield Change(name, "", "removed" if new is None else "created" if old is None else "changed")
            continue
        for field in sorted({*old, *new}):
            if old.get(field) != new.get(field):
                yield Change(f"{name}: {spoken(field).lower()}", text_of(old.get(field)), text_of(new.get(field)))


def entry_words(subject: str) -> str:
    """Return the entry ``kind/name`` of the configuration in words: "the policy fast"."""
    kind, separator, name = subject.partition("/")
    return f"the {spoken(kind).lower()} {name}" if separator else subject


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def score_words(value: Any) -> str:
    """Return a score with two decimals, "none" for what is not a number."""
    return formats.score(value) if isinstance(value, (int, float)) else NOTHING


def text_of(value: Any, nothing: str = NOTHING) -> str:
    """Return a value of JSON as people read it: short lists with commas, objects by their names."""
    if value is None or value == "":
        return nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        text = ", ".join(f"{spoken(name).lower()} {text_of(each)}" for name, each in value.items()) or "nothing"
    elif isinstance(value, list):
        shown = ", ".join(text_of(each) for each in value[:8]) or "nothing"
        text = f"{shown}, {and_more(len(value) - 8)}" if len(value) > 8 else shown
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
