"""JSON files with a form: read, checked, and every mistake explained in one line that names its place."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote

#: Begins the parts of a place that say which of two types was tried; no error shows them.
_TRIED: Final = "\0"
#: The objects of a file: no key but these, and no value of another type.
FORM: Final = ConfigDict(strict=True, extra="forbid", frozen=True)


def either(one: Any, several: Any) -> Any:
    """Return the type of a value that is either `one`, or a list or an object: `several`."""
    tags = f"{_TRIED}one", f"{_TRIED}several"
    return Annotated[
        Annotated[one, Tag(tags[0])] | Annotated[several, Tag(tags[1])],
        Discriminator(lambda value: tags[isinstance(value, list | dict)]),
    ]


def read_json(path: Path) -> Any:
    """Read a JSON value from a file.

    Raises:
        SettingsError: the file cannot be read or is not JSON; the message names the place.
    """
    try:
        return json.loads(path.read_text("utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_refuse_constant)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path}: found a byte that is not UTF-8 at position {error.start}, expected JSON"
        ) from None
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{path}: line {error.lineno}, column {error.colno}: found invalid JSON ({error.msg.lower()}), expected JSON"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: found {error}, expected JSON") from None


def explain(error: ValidationError, parts: Mapping[str, type[BaseModel]]) -> str:
    """Return the first mistake in one line: its place, the value that was found, and what was expected.

    Args:
        parts: of the file, by their key; "" is the whole file. They say which keys are expected inside.
    """
    first = error.errors(include_url=False)[0]
    first["loc"] = tuple(part for part in first["loc"] if not str(part).startswith(_TRIED))
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        part = parts[next((str(each) for each in reversed(parents) if str(each) in parts), "")]
        where = path.rpartition(".")[0]
        known = ", ".join(field.alias or name for name, field in part.model_fields.items())
        return f"{where or 'scenario'}: found the key {quote(key)}, expected one of {known}"
    if first["type"] == "missing":
        return f"{path}: found nothing, expected a value"
    expected = re.sub(r"^Input should( be)?|^(Value|List|Dictionary|String) should (be|have)", "", first["msg"]).strip()
    expected = re.sub(r" after validation, not \d+$", "", expected)
    if "NoneType" in expected or first["type"] in ("model_type", "dict_type"):
        expected = "an object"
    return f"{path}: found {quote(first['input'])}, expected {expected}"


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {quote(key)} twice in one object")
    return dict(pairs)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the number {name}")
