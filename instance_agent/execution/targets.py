"""Targets ready to be called: the catalog's entry, the dialect, the upstream with its key and limits, and prices."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import replace

from instance_agent.catalog.configuration import CatalogConfiguration, ReadyProvider, Target
from instance_agent.catalog.model import Model, TimeLimits
from instance_agent.execution.cost import Prices, nano_per_million
from instance_agent.execution.price_list import list_prices, load_price_list
from instance_agent.providers.dialect import Dialect
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.installed import UnknownDialectError, dialect
from instance_agent.providers.presets import PRESETS, Preset
from instance_agent.providers.upstream import Limits, Secret, Upstream

#: Targets that are kept ready beside the catalog's: a client may name any model of a provider.
_MOST_NAMED: Final = 256
#: Wait for the first byte of a whole answer from a model without limits, in seconds.
_NO_TOTAL: Final = 3600.0
_NO_PRESET: Final = Preset(dialect="openai", base_url=None)


class CallTarget:
    """A target that can be called; immutable, one for each state of the catalog.

    Attributes:
        key: the catalog's key of the target.
        model: the catalog's entry.
        upstream, whole_upstream: for streams, and for whole answers, whose first byte comes with the last token.
        sent_as: the name that the provider is sent.
        breaker_key: of the model at this endpoint with this API key; another key or address is another one.
        service_key: of the endpoint with this API key.
    """

    __slots__ = (
        "_find_prices",
        "_prices",
        "breaker_key",
        "dialect",
        "key",
        "model",
        "sent_as",
        "service_key",
        "upstream",
        "whole_upstream",
    )

    def __init__(
        self,
        key: str,
        model: Model,
        spoken: Dialect,
        upstream: Upstream,
        prices: Prices | None = None,
        whole_upstream: Upstream | None = None,
        find_prices: Callable[[], Prices | None] | None = None,
    ) -> None:
        """Create a target; with `find_prices`, prices are looked up when they are needed first."""
        self.key = key
        self.model = model
        self.sent_as = model.sent_as
        self.dialect = spoken
        self.upstream = upstream
        self.whole_upstream = whole_upstream or upstream
        self._prices = prices
        self._find_prices = find_prices
        identity = _fingerprint(upstream)
        self.breaker_key = f"{key}|{identity}"
        self.service_key = f"{upstream.provider}|{identity}"

    @property
    def prices(self) -> Prices | None:
        """Prices of the catalog, else list prices; None when unknown."""
        if self._find_prices is not None:
            self._prices, self._find_prices = self._find_prices(), None
        return self._prices


class CallTargets:
    """The ready targets of one configuration. A look-up is that of a dictionary.

    Create it where the configuration changes, not in the event loop: at first it loads the list prices (0.3 seconds).
    """

    def __init__(self, configuration: CatalogConfiguration, limits: Limits | None = None) -> None:
        """Create it; `limits` are those of targets whose model and provider set none, and whose provider has no preset."""
        self._limits = limits
        self._ready: dict[str, tuple[Target, CallTarget]] = {}
        self._named: OrderedDict[str, tuple[Target, CallTarget]] = OrderedDict()
        load_price_list()
        for targets in configuration.targets.values():
            for target in targets:
                if target.problem is None and target.provider is not None:
                    try:
                        self._ready[target.key] = (target, self._make(target))
                    except ProviderError:
                        continue  # a dialect that is not installed: its error is given to requests

    def ready(self, target: Target) -> CallTarget:
        """Return the target ready to be called; raise ProviderError when it cannot be called at all."""
        found = self._ready.get(target.key)
        if found is not None and (found[0] is target or found[0].provider is target.provider):
            return found[1]
        if found is not None:
            made = self._make(target)
            self._ready[target.key] = (target, made)
            return made
        return self._ready_by_name(target)

    def _ready_by_name(self, target: Target) -> CallTarget:
        """Return a target that only a client's name has made; those not used for longest are dropped."""
        found = self._named.get(target.key)
        if found is not None and found[0].provider is target.provider:
            self._named.move_to_end(target.key)
            return found[1]
        made = self._make(target, prices_later=True)
        self._named[target.key] = (target, made)
        if len(self._named) > _MOST_NAMED:
            self._named.popitem(last=False)
        return made

    def made(self) -> list[CallTarget]:
        """Return the targets that are ready."""
        return [each for _, each in (*self._ready.values(), *self._named.values())]

    def breaker_keys(self) -> set[str]:
        """Return the keys of all breakers that these targets have."""
        made = self.made()
        return {each.breaker_key for each in made} | {each.service_key for each in made}

    def _make(self, target: Target, *, prices_later: bool = False) -> CallTarget:
        """Create a target. List prices take up to 2 ms: those of a name that no model has are never needed."""
        provider = target.provider
        if target.problem is not None or provider is None:
            raise _unusable(target, target.reason or "the catalog does not describe its provider")
        try:
            spoken = dialect(provider.dialect)
        except UnknownDialectError as error:
            raise _unusable(target, str(error)) from None
        upstream = self._upstream(target, provider)
        whole = upstream
        limits = upstream.limits
        if provider.time_limits.first_byte_seconds is None and target.model.time_limits.first_byte_seconds is None:
            longest = max(limits.first_byte, limits.total or _NO_TOTAL)
            whole = replace(upstream, limits=replace(limits, first_byte=longest))
        find = partial(_prices, target.model, upstream)
        if prices_later:
            return CallTarget(target.key, target.model, spoken, upstream, None, whole, find)
        return CallTarget(target.key, target.model, spoken, upstream, find(), whole)

    def _upstream(self, target: Target, provider: ReadyProvider) -> Upstream:
        preset = PRESETS.get(provider.name, _NO_PRESET)
        return Upstream(
            provider=provider.name,
            dialect=provider.dialect,
            base_url=target.base_url,
            api_key=Secret(provider.api_key or ""),
            headers=provider.headers,
            limits=merged_limits(self._limits or preset.limits, provider.time_limits, target.model.time_limits),
            key_header=preset.key_header,
            max_tokens_field=preset.max_tokens_field,
        )


def merged_limits(default: Limits, *configured: TimeLimits) -> Limits:
    """Return limits whose phases are those of the last of `configured` that sets them."""
    values = {name: getattr(default, name) for name in ("connect", "first_byte", "idle", "total")}
    for each in configured:
        for name in values:
            seconds = getattr(each, f"{name}_seconds")
            if seconds is not None:
                values[name] = seconds
    return Limits(**values, max_answer_bytes=default.max_answer_bytes)


def _unusable(target: Target, reason: str) -> ProviderError:
    name = target.model.provider
    return ProviderError(f"{name}: {reason}", provider=name, error_kind="provider", retry=Retry.SETUP, status=503)


def _fingerprint(upstream: Upstream) -> str:
    """Return 32 bits that change with the address and the key: too few to say anything about the key."""
    headers = sorted(upstream.headers.items())
    parts = repr((upstream.base_url, upstream.api_key.reveal(), headers))
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _write_price(read: int) -> int:
    """Return 1.25 times the price of input, rounded up: what Anthropic charges for tokens that it keeps for five minutes."""
    return (read * 5 + 3) // 4


def _prices(model: Model, upstream: Upstream) -> Prices | None:
    pricing = model.pricing
    if pricing is not None:
        read, written = nano_per_million(pricing.input), pricing.cache_write
        return Prices(
            input=read,
            output=nano_per_million(pricing.output),
            cache_read=None if pricing.cached_input is None else nano_per_million(pricing.cached_input),
            cache_write=_write_price(read) if written is None else nano_per_million(written),
            source="catalog",
        )
    return list_prices(upstream.provider, upstream.base_url, model.sent_as)
