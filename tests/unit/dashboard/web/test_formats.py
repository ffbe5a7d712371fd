"""Numbers on pages."""

from collections.abc import Callable

import pytest

from centralcloud.dashboard.web import formats


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0"), (0.00000004, "0.000004¢"), (0.000123, "0.012¢"), (0.004, "0.4¢"), (0.0123, "1.2¢"), (0.0996, "10¢"),
        (0.25, "25¢"), (0.996, "$1.00"), (1.234, "$1.23"), (999.4, "$999.40"), (999.6, "$1,000"), (12345678, "$12,345,678"),
        (-3, "−$3.00"), (None, "–"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_an_amount_has_as_many_digits_as_a_reader_needs(amount: float | None, text: str) -> None:
    assert formats.usd(amount) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.0%"), (1, "100.0%"), (0.0000001, "under 0.1%"), (0.9999999, "over 99.9%"), (0.98249, "98.2%"),
        (None, "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_all_or_nothing(share: float | None, text: str) -> None:
    assert formats.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9999, "9,999"),
        (10_000, "10.0k"),
        (145_460, "145k"),
        (1_234_567, "1.2M"),
        (2.5e9, "2.5G"),
        (-20_000, "-20.0k"),
    ],
)
def test_a_large_number_has_three_digits_and_a_letter(value: float, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [(0.02, "+2%"), (-0.134, "−13%"), (0.001, "no change"), (11, "12 × as much"), (None, "–")],
)
def test_a_change_has_its_sign(change: float | None, text: str) -> None:
    assert formats.signed_percent(change) == text


@pytest.mark.parametrize("text", [formats.score, formats.usd_of_nano, formats.number])
def test_nothing_is_a_dash(text: Callable[[None], str]) -> None:
    assert text(None) == "–"
