"""The targets that may still answer after a refusal by budgets, as routing sees them."""

from collections.abc import Callable, Sequence
from typing import Final

from instance_agent.catalog.configuration import Target
from instance_agent.catalog.model import Model
from instance_agent.execution.cost import Prices, documents_tokens, worst_cost
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.targets import CallTarget
from instance_agent.gateway.state import GatewayState
from instance_agent.providers.errors import ProviderError
from instance_agent.routing.spend import SpendView
from instance_agent.spend.refusal import Refusal

#: Tokens of an answer whose length neither the client, the policy nor the catalog limits.
UNKNOWN_OUTPUT_TOKENS: Final = 4096
#: Stands for the same plan without a probe.
NO_PROBES: Final = object()
#: Lists of cheap models that are kept; each state has others.
_MOST_LISTS: Final = 100
_FREE: Final = Prices(input=0, output=0, source="catalog")


def view_of(
    refusal: Refusal, state: GatewayState, worst_of: Callable[[Target], int | None] | None = None
) -> SpendView | None:
    """Return what is left out after a refusal; None: no model may answer.

    Args:
        worst_of: returns the most that a request costs at a target, in nano-USD; None: not known. For a limit of each
            request: cheaper targets may be within it.
    """
    words, then = refusal.message, refusal.then
    if then == "stop":
        return None
    if then == "local_only":
        providers = state.catalog.configuration.providers if state.catalog.configuration is not None else {}
        local = {name for name, provider in providers.items() if provider.local}
        remote = {each.key: words for each in _targets(state) if each.model.provider not in local}
        return SpendView(targets=remote, paid=words)
    if refusal.code == "task_limit" and refusal.limit is not None and worst_of is not None:
        limit = refusal.limit
        dear = {each.key: words for each in _targets(state) if (worst := worst_of(each)) is not None and worst > limit}
        if then == "free_only":
            return SpendView(targets=dear, unpriced=words)
        return SpendView(targets=dear, paid=words, spared=keys_of(refusal.cheap_models, state))
    spared = keys_of(refusal.cheap_models, state) if then == "cheap" else frozenset()
    return SpendView(paid=words, spared=spared)


def keys_of(names: Sequence[str], state: GatewayState) -> frozenset[str]:
    """Return the keys of the targets of models, by the names that clients could send."""
    configuration = state.catalog.configuration
    if configuration is None:
        return frozenset()
    return frozenset(
        target.key for name in names for target in configuration.targets_of(configuration.resolve(name)[0])
    )


class CheapModels:
    """The keys of the targets of lists of cheap models, kept for a state of the gateway."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[str, ...]], frozenset[str]] = {}

    def of(self, names: tuple[str, ...], state: GatewayState) -> frozenset[str]:
        """Return the keys; see `keys_of`."""
        key = state.number, names
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_LISTS:
                self._known.clear()
            found = self._known[key] = keys_of(names, state)
        return found


def prices_of(target: CallTarget, state: GatewayState) -> Prices | None:
    """Return the prices of a target; a local model without one is free."""
    if (prices := target.prices) is not None:
        return prices
    configuration = state.catalog.configuration
    provider = configuration.providers.get(target.model.provider) if configuration is not None else None
    return _FREE if provider is not None and provider.local else None


def ready_prices(target: Target, state: GatewayState) -> Prices | None:
    """Return the prices of a target of the catalog; None where they are not known, or it cannot be called."""
    try:
        return prices_of(state.targets.ready(target), state)
    except ProviderError:
        return None


def most_output_tokens(request: ExecutionRequest, most: int | None) -> int:
    """Return the most tokens of the answers of a request; `most`: that the model writes, None: not known."""
    if request.operation == "embeddings":
        return 0
    asked = request.head.max_output_tokens
    if not asked or asked < 0:
        asked = most or UNKNOWN_OUTPUT_TOKENS
    return (asked if most is None else min(asked, most)) * request.head.choices


def worst_case(prices: Prices, request: ExecutionRequest, model: Model) -> int:
    """Return the most in nano-USD that one call of a request costs at a model."""
    tokens = request.input_tokens()
    tokens += documents_tokens(request.head, tokens, model.context_window)
    return worst_cost(prices, tokens, most_output_tokens(request, model.max_output_tokens))


def _targets(state: GatewayState) -> list[Target]:
    configuration = state.catalog.configuration
    return [] if configuration is None else [each for group in configuration.targets.values() for each in group]
