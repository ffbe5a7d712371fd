"""The catalog YAML: read and validated, never written."""

from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.bounded_file import read_bounded
from centralcloud.runtime.validation import expectation
from instance_agent.catalog.model import Endpoint, Model, Pricing, TimeLimits
from instance_agent.catalog.provider import Provider

#: A model takes about 300 bytes.
_MAX_BYTES: Final = 64_000_000
#: Fields of providers whose values an error may show.
_SHOWN: Final = frozenset({"provider", "dialect", "base_url", "key_hosts", "local", "time_limits"})
#: The entries under a key of the YAML, by its name.
_ENTRIES: Final[dict[str, type[BaseModel]]] = {
    "models": Model,
    "providers": Provider,
    "endpoints": Endpoint,
    "pricing": Pricing,
    "time_limits": TimeLimits,
}
_BUILT_IN: Final = resources.files(__package__) / "default_catalog.yaml"
#: libyaml's loader is about ten times as fast as the one in Python, which is there when PyYAML was built without it.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


#: Begins the names of keys at the top that hold anchors of YAML and nothing else, as in Compose files.
_EXTENSION: Final = "x-"


class CatalogEntries(BaseModel):
    """The entries of a catalog, as they are written in its YAML.

    Attributes:
        models: may be empty; each pair of name and provider once. Left out: those of the built-in catalog.
        providers: each name once.
        aliases: a target for each pattern of a model's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Model, ...] = ()
    providers: tuple[Provider, ...] = ()
    aliases: dict[str, str] = {}


def read_catalog_file(path: Path) -> list[Model]:
    """Read the models of a catalog YAML, at most 64 MB; a file without `models` has those of the built-in catalog.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or has an invalid value; one line that names the place.
    """
    return list(with_built_in_models(read_entries(path)).models)


def read_entries(path: Path) -> CatalogEntries:
    """Read a catalog YAML, at most 64 MB: its models, providers and aliases.

    The targets of aliases may also be models of the providers of the built-in catalog.

    Raises:
        SettingsError: as for `read_catalog_file`.
    """
    try:
        content = _parse(read_bounded(path, _MAX_BYTES).decode())
    except OSError as error:
        raise SettingsError(f"cannot read the catalog {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path}: found a byte that is not UTF-8 at position {error.start}, expected YAML"
        ) from None
    except RecursionError:
        raise SettingsError(f"{path}: found YAML that is nested too deeply, expected a list of models") from None
    except _RepeatedKeyError as error:
        raise SettingsError(f"{path}{error}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid date
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise SettingsError(f"{path}{place}: expected YAML: {problem}") from None
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if not str(name).startswith(_EXTENSION)}
    try:
        entries = CatalogEntries.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first_problem(error)}") from None
    _refuse_repetitions(path, entries)
    return entries


@cache
def built_in_entries() -> CatalogEntries:
    """Return the entries of the built-in catalog."""
    with resources.as_file(_BUILT_IN) as path:
        return read_entries(path)


def built_in_text() -> str:
    """Return the YAML of the built-in catalog, with its comments."""
    return _BUILT_IN.read_text("utf-8")


def with_built_in_models(entries: CatalogEntries) -> CatalogEntries:
    """Return the entries of a file that has no `models` with the built-in models, and the built-in aliases below its own.

    A built-in alias that a pattern of the file matches is left out: an exact name would come before the pattern.
    """
    if "models" in entries.model_fields_set:
        return entries
    built_in, own = built_in_entries(), entries.aliases
    below = {
        name: target for name, target in built_in.aliases.items() if not any(fnmatchcase(name, each) for each in own)
    }
    return entries.model_copy(update={"models": built_in.models, "aliases": {**own, **below}})


class _RepeatedKeyError(Exception):
    """A mapping has a key twice; the text begins with the place."""


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    # A name with a typing error is also a value that is missing: the name says more.
    first = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
    place = first["loc"]
    if first["type"] == "extra_forbidden":
        return _unknown_key(place)
    field = _path(place)
    found = "a value that is not shown" if _may_be_secret(place, first["input"]) else quote(first["input"])
    found = "nothing" if first["type"] == "missing" else found
    expected = expectation(first) if field else "expected a mapping with models, providers or aliases"
    return f"{field or 'file'}: found {found}: {expected}"


def _path(place: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def _unknown_key(place: tuple[int | str, ...]) -> str:
    """Return the error for a key that has no meaning at its place; its value may be a secret."""
    *parents, key = place
    entry: type[BaseModel] = CatalogEntries
    for part in parents:
        if isinstance(part, str):
            entry = _ENTRIES.get(part, entry)
    allowed = list(entry.model_fields)
    near = get_close_matches(str(key), allowed, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{_path(tuple(parents)) or 'file'}: found the key {quote(key)}{hint}, expected {', '.join(allowed)}"


def _may_be_secret(place: tuple[int | str, ...], value: Any) -> bool:
    """Whether an error must not show a value: a key in the wrong field, a password or key in a URL."""
    if isinstance(value, str) and "://" in value and ("@" in value or "?" in value):
        return True
    return place[:1] == ("providers",) and not _SHOWN.intersection(place)


def _refuse_repetitions(path: Path, entries: CatalogEntries) -> None:
    seen: set[tuple[str, str]] = set()
    for position, model in enumerate(entries.models):
        if (model.name, model.provider) in seen:
            raise SettingsError(
                f"{path}: models[{position}]: found {model.name} of {model.provider} again, expected it once"
            )
        seen.add((model.name, model.provider))
    providers: set[str] = set()
    for position, provider in enumerate(entries.providers):
        if provider.provider in providers:
            raise SettingsError(f"{path}: providers[{position}]: found {provider.provider} again, expected it once")
        providers.add(provider.provider)


def _parse(text: str) -> Any:
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_repeated_keys(root)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _refuse_repeated_keys(root: yaml.Node) -> None:
    """Raise for a key that a mapping has twice: YAML forbids it, and PyYAML would use the last value silently."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in keys:
                    mark = key.start_mark
                    place = f":{mark.line + 1}:{mark.column + 1}"
                    raise _RepeatedKeyError(f"{place}: found the key {quote(key.value)} again, expected it once")
                keys.add(key.value)
