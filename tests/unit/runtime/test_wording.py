"""Numbers and ages read as people say them."""

import json
from decimal import Decimal

import pytest

from centralcloud.runtime.wording import (
    age,
    ago,
    and_more,
    apart,
    counted,
    decimals,
    listed,
    percent,
    printable,
    printable_json,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 seconds"),
        (0, "0 seconds"),
        (0.4, "0 seconds"),
        (0.6, "1 second"),
        (1.4, "1 second"),
        (45, "45 seconds"),
        (119, "119 seconds"),
        (119.6, "2 minutes"),
        (120, "2 minutes"),
        (149, "2 minutes"),
        (151, "3 minutes"),
        (5400, "90 minutes"),
        (7199, "120 minutes"),
        (7200, "2 hours"),
        (86_400, "24 hours"),
        (2 * 86_400, "2 days"),
        (4000 * 86_400, "4,000 days"),
    ],
)
def test_an_age_uses_the_largest_unit_that_it_holds_twice(seconds: float, words: str) -> None:
    assert age(seconds) == words
    assert ago(seconds) == f"{words} ago"


@pytest.mark.parametrize(
    ("count", "nouns", "words"),
    [
        (0, ("dead letter",), "0 dead letters"),
        (1, ("dead letter",), "1 dead letter"),
        (2500, ("event",), "2,500 events"),
        (1, ("reply", "replies"), "1 reply"),
        (3, ("reply", "replies"), "3 replies"),
    ],
)
def test_one_is_singular_and_every_other_number_plural(count: int, nouns: tuple[str, ...], words: str) -> None:
    assert counted(count, *nouns) == words


def test_a_text_of_others_prints_on_one_line_and_moves_no_cursor() -> None:
    hostile = "evil\x1b[2J\nfaked row\x9b1m\u202egpt"
    assert printable(hostile) == r"evil\x1b[2J\nfaked row\x9b1m\u202egpt"
    assert printable("qwen/qwen3-30b é 漢") == "qwen/qwen3-30b é 漢"
    assert printable("a\u2028b\u200bc") == r"a\u2028b\u200bc"


def test_control_characters_of_a_json_document_get_its_own_escapes() -> None:
    value = {"a\x7f": "\u202e\x9b \U000e0041 漢", "b": [1]}
    text = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == value
    assert text.count("\n") == 5
    assert all(line.isprintable() for line in text.split("\n"))
    assert "漢" in text


def test_a_percentage_has_no_space() -> None:
    assert [percent(0.875), percent(0.87, digits=0), percent(1), percent(0)] == ["87.5%", "87%", "100.0%", "0.0%"]


@pytest.mark.parametrize(
    ("numbers", "options", "texts"),
    [
        ((0.8, 0.85), {}, ["80.0%", "85.0%"]),
        ((1699 / 2000, 0.85), {}, ["84.95%", "85.00%"]),
        ((849_999_999 / 10**9, 0.85), {}, ["84.9999999%", "85.0000000%"]),
        ((Decimal(2849999) / 3352941, Decimal("0.85")), {}, ["84.99997%", "85.00000%"]),
        ((0.85, 0.85), {}, ["85.0%", "85.0%"]),
        ((0.1 + 0.2, 0.3), {}, ["30.0000000000000%", "30.0000000000000%"]),
        ((0.5004, 0.5, 0.5), {"digits": 0}, ["50.04%", "50.00%", "50.00%"]),
        ((5000.4, 5000), {"text": decimals, "digits": 0}, ["5,000.4", "5,000.0"]),
        ((6200.4, 5000), {"text": decimals, "digits": 0}, ["6,200", "5,000"]),
    ],
)
def test_two_different_numbers_of_a_comparison_never_read_the_same(
    numbers: tuple[float, ...], options: dict[str, object], texts: list[str]
) -> None:
    assert apart(*numbers, **options) == texts  # type: ignore[arg-type]


def test_names_beyond_the_most_are_counted_as_people_write_numbers() -> None:
    names = [str(number) for number in range(1252)]
    assert listed(names, 2) == "0, 1, and 1,250 more"
    assert listed(names[:2], 2) == "0, 1"
    assert and_more(1250) == "and 1,250 more"
