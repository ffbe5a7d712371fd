"""The configuration of an instance: models, providers with their keys, endpoints and aliases, ready for requests.

It is built when something changes. A request only looks things up: each lookup is that of a dictionary.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from instance_agent.catalog.addresses import host_of, port_of, with_port
from instance_agent.catalog.aliases import AUTO_NAMES, Aliases
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.model import ENDPOINT_TYPES, Complexity, Endpoint, Model, Pricing, TimeLimits
from instance_agent.catalog.provider import Provider, is_reference

#: The scores of a model that was found at a local provider and is not in the catalog: for all but complex tasks.
_FOUND_SCORES: Final[dict[Complexity, float]] = {"simple": 3.0, "medium": 2.5}
_NO_ENDPOINT: Final = Endpoint()
_NO_LIMITS: Final = TimeLimits()


@dataclass(frozen=True, slots=True, eq=False)
class ReadyProvider:
    """A provider with its key. `repr` shows neither the key nor the headers.

    Attributes:
        name, dialect, base_url, local, time_limits: as in `Provider`.
        api_key: None: it needs none, or there is a problem.
        headers: with the values of references.
        key_hosts: hosts, or hosts with a port, that registered endpoints may be at; None: any, since it has no key and no
            headers.
        problem: why it cannot be used; None: it can.
        reason: the problem for clients: without names of settings and files and without addresses.
    """

    name: str
    dialect: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    local: bool = False
    time_limits: TimeLimits = _NO_LIMITS
    problem: str | None = None
    key_hosts: frozenset[str] | None = None
    reason: str | None = None

    def refusal_of(self, url: str) -> str | None:
        """Return why a registered endpoint must not be sent the key, in one line; None: it may, or there is none."""
        if self.key_hosts is None:
            return None
        host, own = host_of(url), host_of(self.base_url)
        unsafe = urlsplit(url).scheme == "http" and urlsplit(self.base_url).scheme == "https"
        placed = with_port(host, port_of(url))
        if host in self.key_hosts or placed in self.key_hosts or (host == own and not unsafe):
            return None
        other_port = any(each.startswith(with_port(host, "")) for each in self.key_hosts)
        found = f"http at the host {host}" if host == own else f"the host {placed if other_port else host}"
        expected = f"https at {own}" if host == own else ", ".join(sorted({own, *self.key_hosts}))
        return (
            f"found {found}, which gets no key of the provider {self.name}, expected {expected}; `key_hosts` of the "
            "provider in the catalog file adds hosts"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A model at one endpoint of a provider: a thing that a request can be sent to.

    Attributes:
        model: the entry of the catalog; the provider is sent `model.sent_as`.
        provider: of that entry; None when the catalog does not describe it.
        endpoint: of that entry.
        base_url: of the endpoint, else of the provider; empty when neither has one.
        key: identifies the target in health views, breakers and reports: ``model@provider`` or ``model@provider#2``.
        problem: why it cannot be used; None: it can.
        reason: the problem for clients: names of settings and files and addresses of providers are for operators. None: the
            problem has none of them.
    """

    model: Model
    provider: ReadyProvider | None
    endpoint: Endpoint
    base_url: str
    key: str
    problem: str | None
    reason: str | None = None

    @property
    def rank(self) -> int:
        """0 for a primary endpoint, 1 for a secondary one, 2 for a fallback."""
        return ENDPOINT_TYPES.index(self.endpoint.type)


@dataclass(frozen=True, slots=True, eq=False)
class CatalogConfiguration:
    """The models, providers and aliases of one state of the catalog. Immutable; compare by identity.

    Attributes:
        models: every entry, those of local providers that were found included.
        providers: by name.
        targets: of each model, by name, in the order of type and then of the catalog.
        aliases: of model names.
        version: of the fleet's configuration; 0 for a file or the built-in catalog.
        own_names: of the models that it has without the fleet's registry.
    """

    models: tuple[Model, ...]
    providers: Mapping[str, ReadyProvider]
    targets: Mapping[str, tuple[Target, ...]]
    aliases: Aliases
    version: int = 0
    own_names: frozenset[str] = frozenset()

    def resolve(self, name: str) -> tuple[str, str | None]:
        """Return the model, or kind of choice, that a client's name stands for, and the alias that was used, if any."""
        if name in self.targets or name in AUTO_NAMES:
            return name, None
        target = self.aliases.resolve(name)
        return (name, None) if target is None else (target, name)

    def targets_of(self, name: str) -> tuple[Target, ...]:
        """Return the targets of a model by its name, or by ``PROVIDER/MODEL``; empty when there is none.

        A known provider accepts any model: one that the catalog does not have gets an entry of its own, without scores.
        """
        if found := self.targets.get(name):
            return found
        provider_name, separator, model_name = name.partition("/")
        provider = self.providers.get(provider_name)
        if not separator or not model_name or provider is None:
            return ()
        known = tuple(each for each in self.targets.get(model_name, ()) if each.provider is provider)
        if known:
            return known
        model = Model(name=name, provider=provider_name, version=model_name)
        key, base_url = f"{name}@{provider_name}", provider.base_url
        return (Target(model, provider, _NO_ENDPOINT, base_url, key, provider.problem, provider.reason),)

    def knows(self, name: str) -> bool:
        """Whether a name is one of a model beyond the ids of registered ones: of the file, an alias, PROVIDER/MODEL."""
        final, alias = self.resolve(name)
        if final in AUTO_NAMES:
            return False
        if final in self.targets:
            return alias is not None or final in self.own_names
        return bool(self.targets_of(final))

    def no_provider(self) -> str | None:
        """Return why no provider at all can be used, in one line that names the settings; None when one can be."""
        if any(each.problem is None for each in self.providers.values()):
            return None
        problems = (f"{each.name}: {each.problem}" for each in self.providers.values())
        return "; ".join(problems) or "the catalog has no providers"

    def problem_of(self, key: str) -> str | None:
        """Return the problem of a target by its key; None without one."""
        targets = self.targets_of(key.rpartition("@")[0])
        return next((target.problem for target in targets if target.key == key), None)


def build_configuration(
    models: Sequence[Model],
    providers: Sequence[Provider] = (),
    aliases: Mapping[str, str] | None = None,
    *,
    keys: KeyReader | None = None,
    found: Mapping[str, frozenset[str]] | None = None,
    version: int = 0,
    registered: Collection[tuple[str, str]] = (),
    own_names: Collection[str] | None = None,
) -> CatalogConfiguration:
    """Return the configuration of these entries, with the current values of the keys.

    Args:
        models, providers, aliases: the entries of the catalog.
        keys: reads the providers' keys; None: from the environment and from files.
        found: the models that each local provider lists, for those that answer; others are unavailable.
        version: of the fleet's configuration.
        registered: name and provider of the entries of the fleet's registry. Their endpoints may be at the hosts of their
            provider's key alone: an operator of the registry need not have the right to read that key.
        own_names: of the models that are there without the registry; None: of all `models`.

    Raises:
        AliasError: an alias has an unknown target, or is part of a cycle.
    """
    keys = keys or KeyReader()
    found = found or {}
    ready = {each.provider: _ready(each, keys, found) for each in providers}
    found_models = _found_models(models, ready, found)
    entries = [*models, *found_models]
    names = {model.name for model in models}
    targets: dict[str, list[Target]] = {}
    for model in entries:
        of_registry = (model.name, model.provider) in registered
        made = _targets(model, ready.get(model.provider), found, registered=of_registry)
        targets.setdefault(model.name, []).extend(made)
    return CatalogConfiguration(
        models=tuple(entries),
        providers=ready,
        targets={name: tuple(sorted(each, key=lambda target: target.rank)) for name, each in targets.items()},
        aliases=Aliases(aliases or {}, names, ready.keys()),  # not the models that were found: they come and go
        version=version,
        own_names=frozenset({*(names if own_names is None else own_names), *(each.name for each in found_models)}),
    )


def _ready(provider: Provider, keys: KeyReader, found: Mapping[str, frozenset[str]]) -> ReadyProvider:
    problems, reasons = [], []
    api_key = None
    if provider.api_key is not None:
        api_key, problem = keys.read(provider.api_key)
        if problem is not None:
            problems.append(problem)
            reasons.append("its provider has no key that can be used")
    headers = {}
    for name, value in provider.headers.items():
        if is_reference(value):
            header, problem = keys.read(str(value))
            if header is None:
                problems.append(f"header {name}: {problem}")
                reasons.append("its provider lacks a header")
                continue
            headers[name] = header
        else:
            headers[name] = str(value)
    if provider.local and provider.provider not in found:
        problems.append(f"it does not answer at {provider.base_url}")
        reasons.append("its provider does not answer")
    return ReadyProvider(
        name=provider.provider,
        dialect=provider.dialect,
        base_url=provider.base_url,
        api_key=api_key,
        headers=headers,
        local=provider.local,
        time_limits=provider.time_limits,
        problem="; ".join(problems) or None,
        key_hosts=frozenset(provider.key_hosts) if provider.api_key is not None or provider.headers else None,
        reason="; ".join(dict.fromkeys(reasons)) or None,
    )


def _found_models(
    models: Sequence[Model], providers: Mapping[str, ReadyProvider], found: Mapping[str, frozenset[str]]
) -> list[Model]:
    """Return an entry for each model that a local provider lists and the catalog does not have."""
    known = {(model.provider, model.sent_as) for model in models}
    known |= {(model.provider, each.version) for model in models for each in model.endpoints if each.version}
    return [
        Model(
            name=name,
            provider=provider,
            model_type="embedding" if "embed" in name.lower() else "chat",
            pricing=Pricing(input=0, output=0),
            complexity_scores=_FOUND_SCORES,
        )
        for provider, names in found.items()
        if provider in providers
        for name in sorted(names)
        if (provider, name) not in known
    ]


def _targets(
    model: Model, provider: ReadyProvider | None, found: Mapping[str, frozenset[str]], *, registered: bool
) -> list[Target]:
    targets = []
    for position, endpoint in enumerate(model.endpoints or (_NO_ENDPOINT,), start=1):
        served = model if endpoint.version is None else model.model_copy(update={"version": endpoint.version})
        base_url = endpoint.base_url or (provider.base_url if provider else "")
        key = f"{model.name}@{model.provider}" + (f"#{position}" if position > 1 else "")
        problem = _problem(served, provider, found)
        reason = provider.reason if provider is not None and problem == provider.problem else None
        if problem is None and registered and provider is not None and endpoint.base_url is not None:
            problem = provider.refusal_of(endpoint.base_url)
            reason = None if problem is None else "its endpoint is at a host that gets no key of its provider"
        targets.append(Target(served, provider, endpoint, base_url, key, problem, reason))
    return targets


def _problem(model: Model, provider: ReadyProvider | None, found: Mapping[str, frozenset[str]]) -> str | None:
    if provider is None:
        return f"the catalog has no provider {model.provider}"
    if provider.problem is None and provider.local and model.sent_as not in found[provider.name]:
        return f"{provider.name} does not have the model {model.sent_as}"
    return provider.problem
