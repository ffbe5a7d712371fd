"""The source of an instance's configuration: a catalog file or the built-in catalog, with keys and local models."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of
from instance_agent.catalog.addresses import host_of
from instance_agent.catalog.aliases import AliasError, Aliases
from instance_agent.catalog.catalog_file import (
    CatalogEntries,
    built_in_entries,
    read_entries,
    with_built_in_models,
)
from instance_agent.catalog.configuration import CatalogConfiguration, build_configuration
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.registry import RegistryLayer, with_registry


class CatalogSource:
    """Builds the configuration of an instance, again whenever a part of it has changed.

    The `models` of a catalog file replace the models and aliases of the built-in catalog; a file without `models` keeps
    them, below its own aliases. Its providers are added: those of the built-in catalog stay known, so that
    ``openai/gpt-4o`` works with any file; one of the same name replaces the built-in one.
    """

    def __init__(
        self,
        path: Path | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        entries: CatalogEntries | None = None,
        any_provider: bool = False,
    ) -> None:
        """Create a source; reads nothing yet.

        Args:
            path: the catalog YAML; None: the built-in catalog.
            environ: environment variables, for keys; None: those of the process.
            entries: used instead of both, and of nothing else: no provider but theirs is known.
            any_provider: accept models of providers that the catalog does not know, as routers of their own have them.
        """
        self._any_provider = any_provider
        self._path = None if entries is not None else path
        self._own_entries = entries
        self._environ = environ
        self._keys = KeyReader(environ)
        self._fingerprint: Fingerprint | None = None
        self._entries: CatalogEntries | None = None
        self._found: Mapping[str, frozenset[str]] = {}
        self._found_changed = False
        self._registry: RegistryLayer | None = None
        self._version = 0
        self._registry_changed = False

    def build(self, *, whole: bool = False) -> CatalogConfiguration:
        """Read everything that has changed, and return the configuration. `whole`: read the file also if it looks unchanged.

        An edit of the file that is not valid is an error once. Until the next edit, the entries of the last valid one are
        used, so that keys can be rotated meanwhile.

        Raises:
            SettingsError: the file cannot be read or has an invalid value; one line that names the place. A missing key is
                not an error: its provider is unavailable, with that reason.
        """
        fingerprint = fingerprint_of(self._path) if self._path else None
        if self._entries is None or whole or fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._entries = self._read()
        self._found_changed = self._registry_changed = False
        self._keys = KeyReader(self._environ)  # keys that are not used any more need not be watched
        models = self._entries.models
        return build_configuration(
            models if self._registry is None else with_registry(models, self._registry),
            self._entries.providers,
            self._entries.aliases,
            keys=self._keys,
            found=self._found,
            version=self._version,
            own_names={each.name for each in models},
            registered={(each.name, each.provider) for each in self._registry.models} if self._registry else (),
        )

    def changed(self) -> bool:
        """Whether the file, a key or the local models have changed since `build`. Costs one stat for each file."""
        moved = self._path is not None and fingerprint_of(self._path) != self._fingerprint
        return moved or self._found_changed or self._registry_changed or self._keys.changed()

    def use_found(self, found: Mapping[str, frozenset[str]]) -> None:
        """Set the models that local providers list, by the provider's name; only providers that answer are in it."""
        self._found_changed = self._found_changed or dict(found) != dict(self._found)
        self._found = dict(found)

    def use_registry(self, registry: RegistryLayer, version: int) -> None:
        """Set the entries of the fleet's registry, and the version of the fleet's configuration."""
        self._registry_changed = True
        self._registry = registry
        self._version = version

    def file_hosts(self) -> frozenset[str]:
        """Return the hosts that the catalog itself names, of the last `build`; an operator's file is trusted."""
        entries = self._entries
        if entries is None:
            return frozenset()
        urls = [provider.base_url for provider in entries.providers]
        for endpoint in (each for model in entries.models for each in model.endpoints):
            urls += [url for url in (endpoint.url, endpoint.health_check_url) if url is not None]
        return frozenset(map(host_of, urls))

    def _read(self) -> CatalogEntries:
        if self._own_entries is not None:
            return self._own_entries
        entries = built_in_entries() if self._path is None else _checked(self._path, any_provider=self._any_provider)
        names = {model.name for model in entries.models}
        try:
            Aliases(entries.aliases, names, {provider.provider for provider in entries.providers})
        except AliasError as error:
            place = f"{self._path or 'the built-in catalog'}: aliases.{error.pattern}"
            raise SettingsError(f"{place}: found {quote(entries.aliases[error.pattern])}: {error}") from None
        return entries


def _checked(path: Path, *, any_provider: bool) -> CatalogEntries:
    """Return the entries of a catalog file over the built-in ones.

    Raises:
        SettingsError: as `read_entries`; or a provider or model that no request could reach.
    """
    own = read_entries(path)
    for position, provider in enumerate(own.providers):
        if (expected := _missing_path(provider.base_url)) is not None:
            place = f"{path}: providers[{position}].base_url"
            raise SettingsError(f"{place}: found {quote(provider.base_url)}, expected {expected}")
    merged = _merged(own)
    providers = [each.provider for each in merged.providers]
    for position, model in enumerate(own.models):
        if model.provider not in providers and not any_provider:
            near = get_close_matches(model.provider, providers, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SettingsError(
                f"{path}: models[{position}].provider: found {quote(model.provider)}{hint}, expected one of `providers` or "
                f"a built-in one: {', '.join(sorted(providers))}"
            )
    return merged


def _missing_path(url: str) -> str | None:
    """Return the base URL of a built-in provider at the same host, where `url` has no path at all; None: it may be right."""
    if urlsplit(url).path.strip("/"):
        return None
    known = (each.base_url for each in built_in_entries().providers if not each.local)
    return next((each for each in known if host_of(each) == host_of(url)), None)


def _merged(entries: CatalogEntries) -> CatalogEntries:
    entries = with_built_in_models(entries)
    own = {provider.provider for provider in entries.providers}
    added = tuple(provider for provider in built_in_entries().providers if provider.provider not in own)
    return entries.model_copy(update={"providers": entries.providers + added})
