"""The table of words of other systems, and an operator's extension of it."""

import json
import re
from datetime import timedelta

import pytest
from support.events import SENT_AT, an_event
from support.repository import REPOSITORY

from centralcloud.contracts import ContractError, parse_routing_event
from centralcloud.contracts.words import (
    BUILT_IN,
    Words,
    format_operator_words,
    parse_operator_words,
    with_operator_words,
)

NOW = SENT_AT + timedelta(days=19)


def test_an_operators_word_is_read_and_unknown_ones_stay_dead_letters() -> None:
    words = with_operator_words({"complexity": "Urgent=complex, 0=simple", "outcome": "gave up=failure:caller"})
    event = parse_routing_event(json.dumps(an_event(complexity="URGENT", outcome="gave-up")), NOW, lambda: words)
    assert (event.complexity, event.outcome, event.error_kind) == ("complex", "failure", "caller")
    assert parse_routing_event(json.dumps(an_event(complexity=0)), NOW, lambda: words).complexity == "simple"
    assert parse_routing_event(json.dumps(an_event(complexity="low")), NOW, lambda: words).complexity == "simple"
    with pytest.raises(ContractError, match=r'routing_decision.complexity: found "URGENT"'):
        parse_routing_event(json.dumps(an_event(complexity="URGENT")), NOW)


def test_an_operator_may_give_a_word_of_the_table_another_meaning() -> None:
    words = with_operator_words({"complexity": "3=medium"})
    assert parse_routing_event(json.dumps(an_event(complexity=3)), NOW, lambda: words).complexity == "medium"


def test_the_table_is_not_asked_for_the_contracts_own_words() -> None:
    def not_needed() -> Words:
        raise AssertionError

    for changes in ({}, {"complexity": "SIMPLE"}, {"outcome": "Failure", "error_kind": "Policy"}, {"note": 1}):
        parse_routing_event(json.dumps(an_event(**changes)), NOW, not_needed)


@pytest.mark.parametrize(
    ("field", "text", "complaint"),
    [
        ("complexity", "urgent", 'expected word=meaning, ... as in urgent=complex, found "urgent"'),
        ("complexity", "=simple", "expected word=meaning"),
        ("complexity", "a=simple,", 'found ""'),
        ("complexity", "urgent=critical", 'expected a meaning among simple, medium, complex, found "critical"'),
        ("complexity", "simple=complex", 'found "simple", which has its own meaning'),
        ("complexity", "a=simple, A=complex", 'expected one meaning for "a", found two'),
        ("complexity", "a=simple:timeout", "expected one of simple, medium, complex"),
        ("outcome", "a=success:timeout", "expected failure:kind with a kind among caller"),
        ("outcome", "a=failure:", "expected failure:kind"),
        ("outcome", "a=failure:slow", "expected failure:kind"),
        ("error_kind", "a\x1bb=policy", "expected word=meaning"),
        ("error_kind", ", ".join(f"w{number}=policy" for number in range(201)), "at most 200 words, found 201"),
    ],
)
def test_wrong_words_of_an_operator_are_refused(field: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_operator_words(field, text)


def test_an_operators_words_have_one_form() -> None:
    parsed = parse_operator_words("outcome", "gave up=failure:caller,  OKAY=success")
    assert format_operator_words(parsed) == "gave_up=failure:caller, okay=success"
    assert parse_operator_words("outcome", format_operator_words(parsed)) == parsed


def test_the_documentation_has_the_table_of_words() -> None:
    page = (REPOSITORY / "docs" / "reference" / "messages.md").read_text()
    section = page.split("## Words of other systems")[1].split("\n## ")[0]
    documented: dict[str, dict[str, str]] = {field: {} for field in Words._fields}
    for field, meaning, words in re.findall(r"^\| `([a-z_]+)` \| `([a-z:]+)` \| (.*) \|$", section, flags=re.MULTILINE):
        documented[field] |= dict.fromkeys(re.findall(r"`([a-z0-9_]+)`", words), meaning)
    assert documented == {
        field: {word: str(meaning) for word, meaning in getattr(BUILT_IN, field).items()} for field in Words._fields
    }
