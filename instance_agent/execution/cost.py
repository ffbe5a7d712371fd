"""The cost of a call in nano-USD (1e-9 USD): whole numbers, so that sums are exact."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from centralcloud.contracts.limits import MAX_INT8, NANO_USD_PER_USD
from instance_agent.chat.answers import Usage
from instance_agent.chat.protocol import RequestHead

CostSource: TypeAlias = Literal["provider", "catalog", "price_list"]
#: Nano-USD in a USD.
NANO: Final = NANO_USD_PER_USD
_MILLION: Final = 1_000_000
#: Tokens of an image in an estimate: a large one in high detail (OpenAI: 765 to 1,105 for usual sizes).
_IMAGE_TOKENS: Final = 1_200
#: Tokens around each message and each tool.
_FRAME_TOKENS: Final = 8
_TOOL_TOKENS: Final = 150
#: Context of a model whose catalog does not say it.
_UNKNOWN_WINDOW: Final = 128_000


class Prices(Struct, frozen=True, kw_only=True):
    """Prices of a model, in nano-USD per million tokens: 0.15 USD is 150,000,000.

    Attributes:
        input, output: of the prompt and of the answer (thoughts included).
        cache_read, cache_write: of tokens of the prompt that a provider's cache gave or took; None: as `input`. Prices of
            the catalog always have `cache_write`.
        source: where they come from.
        above: other prices for the whole call, from so many input tokens on; in rising order.
    """

    input: int
    output: int
    source: CostSource
    cache_read: int | None = None
    cache_write: int | None = None
    above: tuple[tuple[int, "Prices"], ...] = ()


class Cost(Struct, frozen=True, kw_only=True):
    """The cost of one call.

    Attributes:
        nano_usd: None when it is not known, never 0 for that.
        source: None when it is not known.
        estimated: tokens were estimated, upwards, because the provider reported none.
    """

    nano_usd: int | None = None
    source: CostSource | None = None
    estimated: bool = False


UNKNOWN: Final = Cost()
PriceSource: TypeAlias = Callable[[], Prices | None]


def nano_per_million(usd_per_million: float | Decimal) -> int:
    """Return a price in USD per million tokens as nano-USD per million tokens."""
    price = Decimal(str(usd_per_million)) * NANO
    return int(price.to_integral_value(ROUND_HALF_UP))


def cost_of(usage: Usage | None, prices: Prices | None, *, estimated: bool = False) -> Cost:
    """Return the cost of a call: as the provider reported it, else by `prices`, else unknown.

    A number of tokens that the provider did not report makes the cost unknown, unless the price of such tokens is 0.
    Fractions of a nano-USD are rounded once, to the nearest, and a half upwards.
    """
    if usage is None:
        return UNKNOWN
    if usage.cost_nano_usd is not None:
        return Cost(nano_usd=min(max(0, usage.cost_nano_usd), MAX_INT8), source="provider", estimated=estimated)
    if prices is None:
        return UNKNOWN
    for start, others in reversed(prices.above):
        if usage.input_tokens is not None and usage.input_tokens > start:
            prices = others
            break
    total = _input_cost(usage, prices)
    if total is None or (usage.output_tokens is None and prices.output):
        return UNKNOWN
    total += prices.output * max(0, usage.output_tokens or 0)
    return Cost(nano_usd=min((total + _MILLION // 2) // _MILLION, MAX_INT8), source=prices.source, estimated=estimated)


def worst_cost(prices: Prices, input_tokens: int, output_tokens: int) -> int:
    """Return the most in nano-USD that a call with at most so many tokens costs, rounded up.

    Each token of the prompt at the dearer of its price and that of a write to the provider's cache; where the call may be
    long enough for other prices, the dearest ones count.
    """
    total = 0
    for each in (prices, *(others for start, others in prices.above if input_tokens > start)):
        read = each.input if each.cache_write is None else max(each.input, each.cache_write)
        total = max(total, read * input_tokens + each.output * output_tokens)
    return -(-total // _MILLION)


def _input_cost(usage: Usage, prices: Prices) -> int | None:
    if usage.input_tokens is None:
        return None if prices.input else 0
    tokens = max(0, usage.input_tokens)
    cached = min(usage.cached_tokens or 0, tokens)
    written = min(usage.cache_write_tokens or 0, tokens - cached)
    read_price = prices.input if prices.cache_read is None else prices.cache_read
    write_price = prices.input if prices.cache_write is None else prices.cache_write
    return prices.input * (tokens - cached - written) + read_price * cached + write_price * written


def estimated_input_tokens(head: RequestHead) -> int:
    """Return an upper estimate of the tokens of a prompt: two characters a token, where 3 to 4 are usual.

    Two bytes a token for what routing does not read, such as tools; documents and sounds are left out: most of them is not
    text, see `documents_tokens`.
    """
    return (
        (head.characters + (0 if head.inputs else head.unread) + 1) // 2
        + _FRAME_TOKENS * (head.messages + 1)
        + _IMAGE_TOKENS * head.images
        + _TOOL_TOKENS * head.tools
    )


def documents_tokens(head: RequestHead, known: int, window: int | None) -> int:
    """Return the most tokens of the documents and sounds in a request: two bytes a token, up to the model's window.

    Content that the provider keeps may fill the window.

    Args:
        known: `estimated_input_tokens`.
        window: tokens of the model's context; None: not known.
    """
    tokens = (head.unread + 1) // 2 if head.inputs else 0
    if head.stored:
        tokens = max(tokens, window or _UNKNOWN_WINDOW)
    return tokens if window is None else min(tokens, max(0, window - known))


class OutputEstimate:
    """An upper estimate of the tokens of an answer whose usage is missing, from its characters.

    Two characters a token for pieces in ASCII, where 3 to 5 are usual; two tokens a character for other pieces, where 1 is
    usual in Chinese and up to 2 in rare scripts. So at least one for each piece that holds text.
    """

    __slots__ = ("_characters", "_tokens")

    def __init__(self) -> None:
        self._characters = 0
        self._tokens = 0

    def add(self, data: bytes, characters: int) -> None:
        """Add a piece of the stream, after which the answer has `characters` in all."""
        more = characters - self._characters
        if more:
            self._characters = characters
            # A single byte is found in a sixth of the time of two.
            plain = data.isascii() and (b"\\" not in data or b"\\u" not in data)
            self._tokens += (more + 1) // 2 if plain else 2 * more

    def tokens(self) -> int:
        """Return the estimate so far."""
        return self._tokens


def with_estimates(usage: Usage | None, input_tokens: int, output_tokens: int) -> tuple[Usage, bool]:
    """Fill in the numbers that the provider did not report; return the usage, and whether one was missing.

    Output that was reported before the end of a stream counts as a lower bound only.
    """
    known = usage or Usage()
    missing = known.input_tokens is None or known.output_tokens is None
    if not missing:
        return known, False
    filled = Usage(
        input_tokens=input_tokens if known.input_tokens is None else known.input_tokens,
        output_tokens=output_tokens if known.output_tokens is None else known.output_tokens,
        cached_tokens=known.cached_tokens,
        cache_write_tokens=known.cache_write_tokens,
        reasoning_tokens=known.reasoning_tokens,
        cost_nano_usd=known.cost_nano_usd,
    )
    return filled, True
