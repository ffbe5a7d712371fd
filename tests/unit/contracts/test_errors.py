"""Values of others in the text of an error: on one line, short, and readable."""

import pytest

from centralcloud.contracts.errors import quote


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a" * 80, '"' + "a" * 80 + '"'),
        ("a" * 81, '"' + "a" * 80 + '... (81 characters)"'),
        ("\n" * 81, '"' + r"\n" * 80 + '... (81 characters)"'),
        ('é"…', r'"\xe9\"\u2026"'),
    ],
)
def test_a_text_is_shown_escaped_and_what_is_left_out_is_not_part_of_it(value: str, shown: str) -> None:
    assert quote(value) == shown
    assert shown.isascii(), "it fits into a database of any encoding"
