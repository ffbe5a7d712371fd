"""Compare the prices of the built-in catalog with those of the package genai-prices: prints a line for each difference.

    pip install genai-prices
    python benchmarks/default_prices.py

The exit code is 1 when there is one. Where a price depends on the length of the prompt, the one of the shorter prompts
counts. Local models are free and are not compared.
"""

import sys
from decimal import Decimal
from typing import Any

from instance_agent.catalog.catalog_file import built_in_entries

#: Providers of genai-prices that have other names here.
_PROVIDERS = {"gemini": "google"}


def per_million(prices: Any, field: str) -> float:
    """Return a price of the package in USD per million tokens; a tiered one by its base."""
    value = getattr(prices, field, None)
    return float(Decimal(getattr(value, "base", value) or 0))


def main() -> int:
    """Print the differences."""
    try:
        from genai_prices.data import providers
    except ImportError:
        print("genai-prices is not installed: pip install genai-prices", file=sys.stderr)
        return 2
    known = {provider.id: provider for provider in providers}
    differences = 0
    for model in built_in_entries().models:
        if model.provider not in {"anthropic", "openai", "gemini", "openrouter"} or model.pricing is None:
            continue
        found = known[_PROVIDERS.get(model.provider, model.provider)].find_model(model.sent_as)
        if found is None:
            print(f"{model.sent_as} of {model.provider}: not in genai-prices")
            differences += 1
            continue
        prices = found.prices[-1].prices if isinstance(found.prices, list) else found.prices
        theirs = tuple(per_million(prices, f"{name}_mtok") for name in ("input", "output", "cache_read"))
        own = model.pricing.input, model.pricing.output, model.pricing.cached_input or 0.0
        if theirs != own:
            print(f"{model.sent_as} of {model.provider}: found {own}, listed {theirs}")
            differences += 1
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
