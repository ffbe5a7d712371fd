"""Costs in nano-USD."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instance_agent.chat.answers import Usage
from instance_agent.chat.protocol import RequestHead
from instance_agent.execution.cost import (
    Cost,
    OutputEstimate,
    Prices,
    cost_of,
    documents_tokens,
    estimated_input_tokens,
    nano_per_million,
    with_estimates,
    worst_cost,
)
from instance_agent.execution.price_list import list_prices

MINI = Prices(input=nano_per_million(0.15), output=nano_per_million(0.6), source="catalog")


def test_a_small_call_has_a_price_that_is_not_0() -> None:
    assert cost_of(Usage(input_tokens=100, output_tokens=0), MINI) == Cost(nano_usd=15_000, source="catalog")


def test_a_million_small_calls_sum_to_the_exact_amount() -> None:
    one = cost_of(Usage(input_tokens=100, output_tokens=0), MINI).nano_usd
    assert one is not None
    assert sum(one for _ in range(1_000_000)) == 15 * 10**9


def test_the_report_of_the_provider_comes_first() -> None:
    usage = Usage(input_tokens=100, output_tokens=100, cost_nano_usd=7)
    assert cost_of(usage, MINI) == Cost(nano_usd=7, source="provider")


@pytest.mark.parametrize(
    ("usage", "prices"),
    [
        (None, MINI),
        (Usage(), MINI),
        (Usage(input_tokens=5), MINI),
        (Usage(output_tokens=5), MINI),
        (Usage(input_tokens=5, output_tokens=5), None),
    ],
)
def test_an_unknown_cost_is_none_and_never_0(usage: Usage | None, prices: Prices | None) -> None:
    assert cost_of(usage, prices) == Cost()


def test_a_model_that_is_free_costs_0_even_without_usage() -> None:
    free = Prices(input=0, output=0, source="catalog")
    assert cost_of(Usage(), free).nano_usd == 0


def test_cached_tokens_have_their_own_price() -> None:
    prices = Prices(input=1_000_000, output=0, cache_read=100_000, cache_write=1_250_000, source="catalog")
    usage = Usage(input_tokens=100, output_tokens=0, cached_tokens=60, cache_write_tokens=30)
    assert cost_of(usage, prices).nano_usd == 10 + 6 + 38  # 37.5, rounded once over the sum: 53.5 -> 54


def test_prices_above_a_number_of_tokens_hold_for_the_whole_call() -> None:
    high = Prices(input=2_000_000, output=0, source="price_list")
    prices = Prices(input=1_000_000, output=0, source="price_list", above=((200, high),))
    assert cost_of(Usage(input_tokens=200, output_tokens=0), prices).nano_usd == 200
    assert cost_of(Usage(input_tokens=201, output_tokens=0), prices).nano_usd == 402


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.decimals(0, 10**6, places=6), st.decimals(0, 10**6, places=6))
def test_the_cost_is_the_exact_one_rounded_once_and_fits_a_bigint(
    tokens_in: int, tokens_out: int, price_in: Decimal, price_out: Decimal
) -> None:
    prices = Prices(input=nano_per_million(price_in), output=nano_per_million(price_out), source="catalog")
    found = cost_of(Usage(input_tokens=tokens_in, output_tokens=tokens_out), prices).nano_usd
    assert found is not None
    exact = (Fraction(price_in) * tokens_in + Fraction(price_out) * tokens_out) * 1000
    assert 0 <= found < 2**63
    if exact < 2**62:
        assert abs(found - exact) <= Fraction(1, 2)


@given(st.floats(0, 10**6, allow_nan=False))
def test_the_price_of_a_yaml_file_is_taken_as_it_is_written(price: float) -> None:
    assert abs(Fraction(nano_per_million(price)) - Fraction(str(price)) * 10**9) <= Fraction(1, 2)


def test_missing_usage_is_estimated_and_says_so() -> None:
    assert with_estimates(None, 50, 20) == (Usage(input_tokens=50, output_tokens=20), True)
    assert with_estimates(Usage(input_tokens=7), 50, 20) == (Usage(input_tokens=7, output_tokens=20), True)
    reported = Usage(input_tokens=7, output_tokens=0)
    assert with_estimates(reported, 50, 20) == (reported, False)


@given(st.lists(st.sampled_from(["fox", " jumps", '{"a": 1}', "天気", "é", "🙂"]), max_size=30))
def test_an_estimate_is_a_token_for_two_plain_characters_and_two_tokens_for_each_other(pieces: list[str]) -> None:
    estimate, characters, least = OutputEstimate(), 0, 0.0
    for piece in pieces:
        characters += len(piece)
        least += len(piece) / 2 if piece.isascii() else 2 * len(piece)
        estimate.add(piece.encode(), characters)
    assert least <= estimate.tokens() <= least + len(pieces) / 2


def test_an_estimate_counts_at_least_one_token_for_each_piece_with_text() -> None:
    estimate = OutputEstimate()
    for number in range(1, 11):
        estimate.add(b"a", number)
        estimate.add(b": keep-alive", number)
    assert estimate.tokens() == 10


def test_escaped_characters_count_as_wide_ones() -> None:
    estimate = OutputEstimate()
    estimate.add(b'{"content":"\\u4eca\\u65e5"}', 2)
    assert estimate.tokens() == 4


def test_the_estimate_of_a_prompt_counts_images_and_tools() -> None:
    head = RequestHead(model="m", text="", characters=100, messages=2, images=1, tools=1)
    assert estimated_input_tokens(head) > 1000
    assert estimated_input_tokens(RequestHead(model="m", text="", characters=100, messages=1)) < 100


def test_list_prices_are_those_of_the_package() -> None:
    found = list_prices("openai", "https://api.openai.com/v1", "gpt-4o-mini")
    assert found is not None
    assert (found.input, found.output, found.source) == (150_000_000, 600_000_000, "price_list")


def test_list_prices_have_the_levels_of_long_prompts() -> None:
    found = list_prices("google", "https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-pro")
    assert found is not None
    ((start, above),) = found.above
    assert start == 200_000
    assert above.input == 2 * found.input


def test_a_provider_is_found_by_its_address() -> None:
    found = list_prices("my-google", "https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-pro")
    assert found is not None


def test_an_unknown_model_has_no_list_price() -> None:
    assert list_prices("openai", "https://api.openai.com/v1", "no-such-model") is None
    assert list_prices("nowhere", "http://127.0.0.1:1234/v1", "gpt-4o-mini") is None


@given(st.integers(0, 300_000), st.integers(0, 100_000), st.integers(0, 300_000), st.integers(0, 300_000))
def test_the_worst_case_is_at_least_the_cost_of_every_call_within_it(
    most: int, output_tokens: int, cached: int, written: int
) -> None:
    dearer = Prices(input=3_000_000_000, output=9_000_000_000, cache_write=3_750_000_000, source="catalog")
    prices = Prices(
        input=1_000_000_000,
        output=8_000_000_000,
        cache_read=100_000_000,
        cache_write=1_250_000_000,
        source="catalog",
        above=((200_000, dearer),),
    )
    worst = worst_cost(prices, most, output_tokens)
    for tokens in (most, most // 2):
        usage = Usage(
            input_tokens=tokens, output_tokens=output_tokens, cached_tokens=cached, cache_write_tokens=written
        )
        cost = cost_of(usage, prices).nano_usd
        assert cost is not None
        assert cost <= worst


def test_the_worst_case_of_a_call_is_exact_and_rounded_up() -> None:
    assert worst_cost(Prices(input=1_000_000_000, output=2_000_000_000, source="catalog"), 22, 10) == 42_000
    assert worst_cost(Prices(input=1, output=0, source="catalog"), 1, 0) == 1


def test_tools_count_as_text_and_documents_up_to_the_window_of_the_model() -> None:
    tools = RequestHead(model="m", text="", characters=0, messages=1, unread=1000)
    assert estimated_input_tokens(tools) == 516
    assert documents_tokens(tools, 516, None) == 0
    documents = RequestHead(model="m", text="", characters=0, messages=1, unread=1000, inputs=("documents",))
    assert estimated_input_tokens(documents) == 16
    assert [documents_tokens(documents, 16, window) for window in (None, 10_000, 116, 10)] == [500, 500, 100, 0]


def test_content_that_a_provider_keeps_may_fill_the_window_of_the_model() -> None:
    stored = RequestHead(model="m", text="", characters=0, messages=1, stored=True)
    assert [documents_tokens(stored, 16, window) for window in (None, 10_000, 10)] == [128_000, 9_984, 0]


def test_a_negative_number_of_tokens_costs_nothing() -> None:
    assert cost_of(Usage(input_tokens=0, output_tokens=-(10**8)), MINI).nano_usd == 0
