"""The words of other systems for complexities, outcomes and kinds of failure, and their meaning. Pure.

`BUILT_IN` is the documented table (docs/reference/messages.md); an operator extends it by the fleet settings ``words.*``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import COMPLEXITIES, ERROR_KINDS, OUTCOMES
from centralcloud.contracts.text import has_steering, read_text

_SEPARATORS: Final = re.compile(r"[\s_-]+")
_MOST_WORDS: Final = 200
_LONGEST_WORD: Final = 100


class Meaning(NamedTuple):
    """The value that a word stands for; with that of an outcome, the kind of the failure, if the word says it."""

    value: str
    error_kind: str | None = None

    def __str__(self) -> str:
        return f"{self.value}:{self.error_kind}" if self.error_kind else self.value


Table: TypeAlias = Mapping[str, Meaning]


class Words(NamedTuple):
    """The table of words: for each field, a meaning for each word in the form of `word_key`."""

    complexity: Table
    outcome: Table
    error_kind: Table


#: Returns the table in use. It is called only for a message with a word that is not one of the contract's own.
WordSource: TypeAlias = Callable[[], Words]

#: The contract's own words, by field.
_OWN: Final = {"complexity": COMPLEXITIES, "outcome": OUTCOMES, "error_kind": ERROR_KINDS}


def _table(**words: str) -> dict[str, Meaning]:
    """Return the table of words, listed for each meaning; `failure__timeout` is the outcome failure with its kind."""
    table: dict[str, Meaning] = {}
    for meaning, listed in words.items():
        value, _, error_kind = meaning.partition("__")
        table |= dict.fromkeys(listed.split(), Meaning(value, error_kind or None))
    return table


BUILT_IN: Final = Words(
    complexity=_table(
        simple="low easy trivial 1 2 3",
        medium="moderate normal 4 5 6",
        complex="high hard difficult 7 8 9 10",
    ),
    outcome=_table(
        routed="pending selected",
        success="ok okay succeeded successful true",
        failure="error err fail failed failing unsuccessful false",
        failure__timeout="timeout timed_out time_out",
        failure__caller="cancelled canceled",
        failure__policy="content_filter content_filtered",
    ),
    error_kind=_table(
        caller="client user bad_request invalid_request cancelled canceled",
        policy="content_filter content_filtered content_policy moderation safety",
        provider="server server_error internal_error overloaded rate_limit rate_limited",
        timeout="timed_out time_out deadline_exceeded",
    ),
)


def built_in() -> Words:
    """Return the table without an operator's words."""
    return BUILT_IN


def word_key(value: Any) -> str | None:
    """Return the form in which words are compared: lower case, underscores between its parts. None: it is not a word."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = read_text(value)
    return None if text is None or len(text) > _LONGEST_WORD else _SEPARATORS.sub("_", text.lower())


def translate_words(decision: dict[str, Any], words: WordSource) -> None:
    """Replace in a decision's JSON the words of other systems by the contract's own; unknown words stay as they are.

    An outcome that says how the request failed sets `error_kind`, if the decision has none.
    """
    for field, own in _OWN.items():
        value = decision.get(field)
        if value is None or value in own:
            continue
        key = word_key(value)
        meaning = Meaning(key) if key in own else getattr(words(), field).get(key)
        if meaning is None:
            continue
        decision[field] = meaning.value
        if meaning.error_kind and decision.get("error_kind") in (None, ""):
            decision["error_kind"] = meaning.error_kind


def with_operator_words(texts: Mapping[str, str | None]) -> Words:
    """Return the built-in table with an operator's words, by field, each in the form of `parse_operator_words`.

    Raises:
        ValueError: one of them is wrong.
    """
    return Words(
        *(
            {**getattr(BUILT_IN, field), **(parse_operator_words(field, text) if (text := texts.get(field)) else {})}
            for field in Words._fields
        )
    )


def parse_operator_words(field: str, text: str) -> dict[str, Meaning]:
    """Parse "word=meaning, word=meaning" for a field of `Words`. The meaning of an outcome may name a kind: failure:timeout.

    Raises:
        ValueError: it has another form, names an unknown meaning, or gives the contract's own word another meaning.
    """
    parsed: dict[str, Meaning] = {}
    for each in text.split(","):
        word, separator, meaning = each.partition("=")
        key = word_key(word)
        if not separator or not key or has_steering(key):
            raise ValueError(f"expected word=meaning, ... as in {_EXAMPLES[field]}, found {quote(each.strip())}")
        found = _meaning(field, meaning)
        if key in _OWN[field] and found != Meaning(key):
            raise ValueError(f"expected a word of another system, found {quote(key)}, which has its own meaning")
        if parsed.setdefault(key, found) != found:
            raise ValueError(f"expected one meaning for {quote(key)}, found two")
    if len(parsed) > _MOST_WORDS:
        raise ValueError(f"expected at most {_MOST_WORDS} words, found {len(parsed)}")
    return parsed


def format_operator_words(words: Table) -> str:
    """Return the one text that stands for these words."""
    return ", ".join(f"{word}={meaning}" for word, meaning in sorted(words.items()))


_EXAMPLES: Final = {
    "complexity": "urgent=complex",
    "outcome": "abandoned=failure:caller",
    "error_kind": "quota=provider",
}


def _meaning(field: str, text: str) -> Meaning:
    value, separator, kind = text.strip().lower().partition(":")
    own = ", ".join(_OWN[field])
    if value not in _OWN[field]:
        raise ValueError(f"expected a meaning among {own}, found {quote(text.strip())}")
    if separator and (field != "outcome" or value != "failure" or kind not in ERROR_KINDS):
        expected = f"failure:kind with a kind among {', '.join(ERROR_KINDS)}" if field == "outcome" else f"one of {own}"
        raise ValueError(f"expected {expected}, found {quote(text.strip())}")
    return Meaning(value, kind or None)
