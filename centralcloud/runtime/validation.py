"""The expectations of pydantic in the words of our error messages. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_NUMBER: Final = "a number"
_WHOLE_NUMBER: Final = "a whole number"
_TRUTH: Final = "true or false"
_FINITE: Final = "a finite number"
#: Comparisons with a limit. NaN fails all of them, and the limit does not say why.
_COMPARISONS: Final = ("greater_than_equal", "greater_than", "less_than_equal", "less_than")

#: By pydantic's type of an error; the names in braces are of its context.
_EXPECTED: Final[Mapping[str, str]] = {
    "missing": "a value",
    "extra_forbidden": "no such field",
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _FINITE,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "string_type": "a text",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def expectation(error: Mapping[str, Any]) -> str:
    """Return what was expected, from one of ``ValidationError.errors()``, as in "expected at most 1"."""
    if error["type"] in _COMPARISONS and str(error["input"]).strip(" +-").lower() == "nan":
        return f"expected {_FINITE}"
    if (template := _EXPECTED.get(error["type"])) is not None:
        context = {name: _plain(value) for name, value in error.get("ctx", {}).items()}
        return f"expected {template.format(**context)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _plain(value: Any) -> Any:
    """Return a limit as a person writes it: 600, not 600.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
