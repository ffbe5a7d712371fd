"""The catalog YAML: read and validated, never written."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.validation import expectation
from instance_agent.catalog.bounded_file import read_bounded
from instance_agent.catalog.model import Model
from instance_agent.catalog.provider import Provider

#: A model takes about 300 bytes.
_MAX_BYTES: Final = 64_000_000
#: Fields of providers whose values an error may show.
_SHOWN: Final = frozenset({"provider", "dialect", "base_url", "local", "time_limits"})
#: libyaml's loader is about ten times as fast as the one in Python, which is there when PyYAML was built without it.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CatalogEntries(BaseModel):
    """The entries of a catalog, as they are written in its YAML.

    Attributes:
        models: may be empty; each pair of name and provider once.
        providers: each name once.
        aliases: a target for each pattern of a model's name.
    """

    model_config = ConfigDict(frozen=True)

    models: tuple[Model, ...]
    providers: tuple[Provider, ...] = ()
    aliases: dict[str, str] = {}


def read_catalog_file(path: Path) -> list[Model]:
    """Read the models of a catalog YAML, at most 64 MB.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or has an invalid value; one line that names the place.
    """
    return list(read_entries(path).models)


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
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid date
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise SettingsError(f"{path}{place}: expected YAML: {problem}") from None
    try:
        entries = CatalogEntries.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first_problem(error)}") from None
    _refuse_repetitions(path, entries)
    return entries


@cache
def built_in_entries() -> CatalogEntries:
    """Return the entries of the built-in catalog."""
    with resources.as_file(resources.files(__package__) / "default_catalog.yaml") as path:
        return read_entries(path)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = first["loc"]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    found = "a value that is not shown" if _may_be_secret(place, first["input"]) else quote(first["input"])
    found = "nothing" if first["type"] == "missing" else found
    expected = expectation(first) if field else "expected a mapping with models"
    return f"{field or 'file'}: found {found}: {expected}"


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
        return loader.get_single_data()
    finally:
        loader.dispose()
