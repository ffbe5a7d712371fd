"""The expected cost of a request at a target, and the targets that limits of money leave out. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from centralcloud.contracts.limits import NANO_USD_PER_USD
from instance_agent.catalog.configuration import Target
from instance_agent.routing.struck import Struck

#: Prices of the tokens of prompts and answers in nano-USD per million; None: unknown.
PriceOf: TypeAlias = Callable[[Target], tuple[int, int] | None]
#: Tokens of an answer whose length neither the client nor the policy limits: longer than most (a page has about 600).
DEFAULT_OUTPUT_TOKENS: Final = 1000
_MILLION: Final = 1_000_000
_FREE: Final = (0, 0)
_NOTHING_MEASURED: Final[Mapping[str, int]] = {}


class SpendView(Struct, frozen=True, kw_only=True):
    """The targets that budgets leave out for a request. Firm: a model that the client names is left out, too.

    Attributes:
        targets: the reason in words, by the key of the target.
        paid: the reason against every target whose price is not 0, or is not known; None: none.
        unpriced: the reason against every target whose price is not known; None: none.
        spared: keys of targets that `paid` does not concern, such as those of the cheap models of a budget.
        policies: the same for requests that follow a policy, by its name; both count.
    """

    targets: Mapping[str, str] = {}
    paid: str | None = None
    unpriced: str | None = None
    spared: frozenset[str] = frozenset()
    policies: "Mapping[str, SpendView]" = {}

    def reason_against(self, target: Target, prices: tuple[int, int] | None) -> str | None:
        """Return why budgets leave a target out; None: they do not."""
        found = self.targets.get(target.key)
        if found is None and self.paid is not None and prices != _FREE and target.key not in self.spared:
            return self.paid
        if found is None and self.unpriced is not None and prices is None:
            return self.unpriced
        return found

    def also(self, other: "SpendView") -> "SpendView":
        """Return the view that leaves out what either of them does."""
        spared = self.spared & other.spared if self.paid and other.paid else self.spared | other.spared
        return SpendView(
            targets={**self.targets, **other.targets},
            paid=other.paid or self.paid,
            unpriced=other.unpriced or self.unpriced,
            spared=spared,
            policies={**self.policies, **other.policies},
        )


NO_SPEND: Final = SpendView()


class CostLimit(Struct, frozen=True):
    """The limit of a policy for targets, with the greatest prices among them.

    Attributes:
        nano_usd: for one request.
        keys: of the targets that it is for.
        input, output: prices in nano-USD per million tokens.
    """

    nano_usd: int
    keys: frozenset[str]
    input: int
    output: int


def catalog_prices(target: Target) -> tuple[int, int] | None:
    """Return the prices that the catalog has for a target. A local model without a price is free."""
    pricing = target.model.pricing
    if pricing is None:
        return _FREE if target.provider is not None and target.provider.local else None
    return round(pricing.input * NANO_USD_PER_USD), round(pricing.output * NANO_USD_PER_USD)


def expected_output(asked: int, most: int | None, model_type: str = "chat") -> int:
    """Return the tokens of an answer, at most: as the client asks, as the policy limits, else `DEFAULT_OUTPUT_TOKENS`.

    Args:
        asked: by the client; 0: it does not say.
        most: of the policy; None: no limit.
    """
    if model_type == "embedding":
        return 0
    if asked and most is not None:
        return min(asked, most)
    return asked or most or DEFAULT_OUTPUT_TOKENS


def is_open(asked: int, most: int | None, model_type: str = "chat") -> bool:
    """Whether nothing limits the tokens of an answer: then as many are expected as the target has written of late.

    Args:
        asked, most: as for `expected_output`.
    """
    return not asked and most is None and model_type != "embedding"


def estimated_nano_usd(
    target: Target, prices: tuple[int, int] | None, input_tokens: int, output_tokens: int, choices: int = 1
) -> int | None:
    """Return the expected cost of a request in nano-USD, rounded up; None where the prices are not known."""
    if prices is None:
        return None
    most = target.model.max_output_tokens
    if most is not None and most < output_tokens:
        output_tokens = most
    return -(-(prices[0] * input_tokens + prices[1] * output_tokens * choices) // _MILLION)


def limits_of(limits: Mapping[str, int], targets: Iterable[Target], price_of: PriceOf) -> tuple[CostLimit, ...]:
    """Return the limits by target (its key -> nano-USD), grouped; targets without a known price have none."""
    groups: dict[int, list[tuple[str, tuple[int, int]]]] = {}
    for target in targets:
        limit, prices = limits.get(target.key), price_of(target)
        if limit is not None and prices is not None:
            groups.setdefault(limit, []).append((target.key, prices))
    return tuple(
        CostLimit(
            limit,
            frozenset(key for key, _ in group),
            max(prices[0] for _, prices in group),
            max(prices[1] for _, prices in group),
        )
        for limit, group in groups.items()
    )


def are_within(limits: tuple[CostLimit, ...], input_tokens: int, output_tokens: int) -> bool:
    """Whether even the dearest target is within each limit: usual, and known without a look at each target."""
    return all(
        limit.input * input_tokens + limit.output * output_tokens <= limit.nano_usd * _MILLION for limit in limits
    )


def cost_strikes(
    targets: Iterable[Target],
    limits: tuple[CostLimit, ...],
    price_of: PriceOf,
    input_tokens: int,
    output_tokens: int,
    policy: str | None,
    choices: int = 1,
    measured: Mapping[str, int] = _NOTHING_MEASURED,
) -> dict[str, Struck]:
    """Return the targets whose expected cost is above their limit, by key.

    Args:
        measured: the tokens of answers of targets, by key, in the place of `output_tokens`.
    """
    by_key = {key: limit.nano_usd for limit in limits for key in limit.keys}
    found = {}
    for target in targets:
        limit = by_key.get(target.key)
        if limit is None or target.problem is not None:  # that is the weightier reason
            continue
        tokens = measured.get(target.key, output_tokens)
        cost = estimated_nano_usd(target, price_of(target), input_tokens, tokens, choices)
        if cost is not None and cost > limit:
            times = f" in each of {choices:,} answers" if choices > 1 else " of answer"
            words = (
                f"it would cost about {usd(cost)} USD, and the policy {policy} allows {usd(limit)} USD for a request "
                f"({input_tokens:,} tokens of prompt, {tokens:,}{times})"
            )
            found[target.key] = Struck(target.key, "policy_cost", words)
    return found


def budget_strikes(
    targets: Iterable[Target], spend: SpendView, price_of: PriceOf, policy: str | None
) -> dict[str, Struck]:
    """Return the targets that budgets leave out, by key."""
    views = [spend]
    if policy is not None and (of_policy := spend.policies.get(policy)) is not None:
        views.append(of_policy)
    found = {}
    for target in targets:
        if target.problem is not None:
            continue
        prices = price_of(target)
        for view in views:
            if (words := view.reason_against(target, prices)) is not None:
                found[target.key] = Struck(target.key, "budget", words)
                break
    return found


def usd(nano: int) -> str:
    """Return an amount in USD with 4 digits that count: 0.0123."""
    return f"{nano / NANO_USD_PER_USD:.4g}"
