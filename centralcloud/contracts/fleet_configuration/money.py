"""Amounts of money in the configuration: USD in JSON, whole nano-USD in programs. Pure."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated

import msgspec

from centralcloud.contracts.limits import MAX_COST_USD, NANO_USD_PER_USD

#: USD, up to 1e9. A number of JSON with at most 15 significant digits is exact.
Amount = Annotated[float, msgspec.Meta(ge=0, le=MAX_COST_USD)]


def to_nano_usd(amount: float) -> int:
    """Return an amount of USD in nano-USD, from its shortest decimal form: 0.1 is 100,000,000."""
    return int((Decimal(repr(float(amount))) * NANO_USD_PER_USD).to_integral_value(ROUND_HALF_EVEN))
