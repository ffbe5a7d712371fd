"""Targets ready to be called: the catalog's entry, the dialect, the upstream with its key and limits, and prices."""

import hashlib
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

#: Targets that are kept ready; a client may name any model of a provider.
_MOST: Final = 4096
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
        prices: of the catalog, else list prices; None when unknown.
        breaker_key: of the model at this endpoint with this API key; another key or address is another one.
        service_key: of the endpoint with this API key.
    """

    __slots__ = (
        "breaker_key",
        "dialect",
        "key",
        "model",
        "prices",
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
    ) -> None:
        self.key = key
        self.model = model
        self.sent_as = model.sent_as
        self.dialect = spoken
        self.upstream = upstream
        self.whole_upstream = whole_upstream or upstream
        self.prices = prices
        identity = _fingerprint(upstream)
        self.breaker_key = f"{key}|{identity}"
        self.service_key = f"{upstream.provider}|{identity}"


class CallTargets:
    """The ready targets of one configuration. A look-up is that of a dictionary.

    Create it where the configuration changes, not in the event loop: at first it loads the list prices (0.3 seconds).
    """

    def __init__(self, configuration: CatalogConfiguration, limits: Limits | None = None) -> None:
        """Create it; `limits` are those of targets whose model and provider set none, and whose provider has no preset."""
        self._limits = limits
        self._ready: dict[str, tuple[Target, CallTarget]] = {}
        load_price_list()
        for targets in configuration.targets.values():
            for target in targets:
                if target.problem is None and target.provider is not None:
                    try:
                        self.ready(target)
                    except ProviderError:
                        continue  # a dialect that is not installed: its error is given to requests

    def ready(self, target: Target) -> CallTarget:
        """Return the target ready to be called; raise ProviderError when it cannot be called at all."""
        found = self._ready.get(target.key)
        if found is not None and (found[0] is target or found[0].provider is target.provider):
            return found[1]
        made = self._make(target)
        if len(self._ready) >= _MOST:
            self._ready.clear()
        self._ready[target.key] = (target, made)
        return made

    def made(self) -> list[CallTarget]:
        """Return the targets that are ready."""
        return [each for _, each in self._ready.values()]

    def breaker_keys(self) -> set[str]:
        """Return the keys of all breakers that these targets have."""
        made = self.made()
        return {each.breaker_key for each in made} | {each.service_key for each in made}

    def _make(self, target: Target) -> CallTarget:
        provider = target.provider
        if target.problem is not None or provider is None:
            raise _unusable(target, target.problem or "the catalog does not describe its provider")
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
        return CallTarget(target.key, target.model, spoken, upstream, _prices(target.model, upstream), whole)

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


def _prices(model: Model, upstream: Upstream) -> Prices | None:
    pricing = model.pricing
    if pricing is not None:
        return Prices(
            input=nano_per_million(pricing.input),
            output=nano_per_million(pricing.output),
            cache_read=None if pricing.cached_input is None else nano_per_million(pricing.cached_input),
            source="catalog",
        )
    return list_prices(upstream.provider, upstream.base_url, model.sent_as)
