"""List prices of known models: the package genai-prices, in the state that was installed.

The package is optional (extra `prices`): it needs 30 MB of memory and 0.2 seconds once, and an HTTP client for an update of
its data that is never started here. Each model is looked up once; without the package, or for a model that it does not
have, the price is unknown.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from instance_agent.execution.cost import Prices, nano_per_million


def load_price_list() -> bool:
    """Load the prices, once; return whether the package is installed."""
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return False
    get_snapshot()
    return True


def list_prices(provider: str, base_url: str, model: str) -> Prices | None:
    """Return the list prices of a provider's model, by the provider's name or else by its address; None when unknown.

    Prices that depend on the time of day are those of this moment. A model costs up to 2 ms, and is not remembered here:
    clients make up names.
    """
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    snapshot = get_snapshot()
    for name, url in ((provider, None), (None, base_url)):
        try:
            listed = snapshot.find_provider(None, name, url)
        except LookupError:
            continue
        found = listed.find_model(model, all_providers=snapshot.providers)
        if found is not None:
            return _prices(found.get_prices(datetime.now(UTC)))
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
