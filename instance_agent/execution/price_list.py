"""List prices of known models: the package genai-prices, in the state that was installed.

The package is optional (extra `prices`): it needs 30 MB of memory and 0.2 seconds once, and an HTTP client for an update of
its data that is never started here. Each model is looked up once; without the package, or for a model that it does not
have, the price is unknown.
"""

from decimal import Decimal
from typing import Any

from instance_agent.execution.cost import Prices, nano_per_million


def list_prices(provider: str, base_url: str, model: str) -> Prices | None:
    """Return the list prices of a provider's model, by the provider's name or else by its address; None when unknown."""
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    one = Usage(input_tokens=1, output_tokens=1)
    try:
        return _prices(calc_price(one, model, provider_id=provider).model_price)
    except (LookupError, ValueError):
        pass
    try:
        return _prices(calc_price(one, model, provider_api_url=base_url).model_price)
    except (LookupError, ValueError):
        return None


def _prices(listed: Any) -> Prices | None:
    given = {
        field: getattr(listed, name, None)
        for field, name in (
            ("input", "input_mtok"),
            ("output", "output_mtok"),
            ("cache_read", "cache_read_mtok"),
            ("cache_write", "cache_write_mtok"),
        )
    }
    if given["input"] is None:
        return None
    starts = sorted({tier.start for price in given.values() for tier in getattr(price, "tiers", ())})
    above = tuple((start, _at(given, start)) for start in starts)
    return Prices(**_fields(given, None), source="price_list", above=above)


def _at(given: dict[str, Any], start: int) -> Prices:
    return Prices(**_fields(given, start), source="price_list")


def _fields(given: dict[str, Any], start: int | None) -> dict[str, Any]:
    fields = {name: _nano(price, start) for name, price in given.items()}
    fields["output"] = fields["output"] or 0  # embeddings have no output
    return fields


def _nano(price: Any, start: int | None) -> int | None:
    if price is None:
        return None
    if not hasattr(price, "tiers"):
        return nano_per_million(Decimal(price))
    chosen = price.base
    for tier in price.tiers:
        if start is not None and tier.start <= start:
            chosen = tier.price
    return nano_per_million(chosen)
