"""The catalog YAML: read and validated, never written."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.validation import expectation
from instance_agent.catalog.bounded_file import read_bounded
from instance_agent.catalog.model import Model

#: A model takes about 300 bytes.
_MAX_BYTES: Final = 64_000_000
#: libyaml's loader is about ten times as fast as the one in Python, which is there when PyYAML was built without it.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _CatalogFile(BaseModel):
    models: list[Model]


def read_catalog_file(path: Path) -> list[Model]:
    """Read the models of a catalog YAML, at most 64 MB.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or has an invalid value; one line that names the place.
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
        models = _CatalogFile.model_validate(content).models
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        found = "nothing" if first["type"] == "missing" else quote(first["input"])
        expected = expectation(first)
        if not field:
            expected = "expected a mapping with models"
        raise SettingsError(f"{path}: {field or 'file'}: found {found}: {expected}") from None
    seen: set[tuple[str, str]] = set()
    for position, model in enumerate(models):
        if (model.name, model.provider) in seen:
            raise SettingsError(
                f"{path}: models[{position}]: found {model.name} of {model.provider} again, expected it once"
            )
        seen.add((model.name, model.provider))
    return models


def _parse(text: str) -> Any:
    loader = _LOADER(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
