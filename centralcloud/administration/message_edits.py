"""Edits of a message before it is sent again: a field gets a value, or the result of a function of a field. Pure.

The functions are a small closed set: nothing of an operator's text is executed.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import EARLIEST_TIME
from centralcloud.contracts.numbers import read_number
from centralcloud.contracts.text import normalize, read_text, remove_steering
from centralcloud.contracts.timestamps import EPOCH_UNITS, from_epoch

_CALL: Final = re.compile(r"([A-Za-z_]\w*)\(([^()]*)\)", re.ASCII)
#: The function without an argument: the time at which the message was queued.
ENQUEUED_AT: Final = "enqueued_at"


class Edit(NamedTuple):
    """A field of the message that gets another value before the message is sent again.

    Attributes:
        path: keys from the message to the field.
        value: a JSON value; None for a computed edit.
        function: of a computed edit: one of `FUNCTIONS`, or `ENQUEUED_AT`.
        argument: of a computed edit: the path of the field that the function reads; empty for `ENQUEUED_AT`.
    """

    path: list[str]
    value: Any = None
    function: str | None = None
    argument: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}={self.function}({'.'.join(self.argument)})"

    def to_json(self) -> dict[str, Any]:
        """Return the edit for the log of operators' actions."""
        if self.function is None:
            return {"path": self.path, "value": self.value}
        return {"path": self.path, "function": self.function, "argument": list(self.argument)}


class _Function(NamedTuple):
    """A function of one JSON value, which returns None where it has no result, and its argument in words."""

    apply: Callable[[Any], Any]
    expected: str


def _epoch(unit: str) -> Callable[[Any], str | None]:
    def apply(value: Any) -> str | None:
        number = read_number(value)
        try:
            time = None if number is None else from_epoch(number, unit)
        except (ValueError, OverflowError):
            return None
        return time.isoformat() if time and time >= EARLIEST_TIME else None

    return apply


def _of_text(function: Callable[[str], str]) -> Callable[[Any], str | None]:
    return lambda value: function(value) if isinstance(value, str) else None


_UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

FUNCTIONS: Final = {
    **{
        f"epoch_{unit}": _Function(
            _epoch(unit), f"a number of {_UNIT_NAMES[unit]} since 1970, of a time from {EARLIEST_TIME.date()} on"
        )
        for unit in EPOCH_UNITS
    },
    "lower": _Function(_of_text(str.lower), "a string"),
    "trim": _Function(_of_text(str.strip), "a string"),
    "clean": _Function(_of_text(lambda text: normalize(remove_steering(text))), "a string"),
    "number": _Function(read_number, "a number, or a string that holds one"),
    "text": _Function(read_text, "a string or a whole number"),
}


def parse_call(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the function and the path of its argument in "function(path)"; None for a text of another form.

    Raises:
        SettingsError: the function is not known, or its argument is not a path.
    """
    call = _CALL.fullmatch(text.strip())
    if call is None:
        name, bracket, _ = text.strip().partition("(")
        if bracket and name in (*FUNCTIONS, ENQUEUED_AT):
            raise SettingsError(
                f"--edit: found {text!r}, expected {name}(field); a text of this form goes in double quotes"
            )
        return None
    name, argument = call[1], call[2].strip()
    if name == ENQUEUED_AT:
        if argument:
            raise SettingsError(f"--edit: found {text!r}, expected {ENQUEUED_AT}() without an argument")
        return name, ()
    if name not in FUNCTIONS:
        known = ", ".join([*FUNCTIONS, ENQUEUED_AT])
        raise SettingsError(
            f"--edit: found the function {name!r}, expected one of {known}; a text of this form goes in double quotes"
        )
    path = tuple(argument.split("."))
    if not all(path):
        raise SettingsError(f"--edit: found {text!r}, expected {name}(field), e.g. {name}(timestamp)")
    return name, path


def compute(edit: Edit, argument: Any, enqueued_at: datetime, *, present: bool = True) -> Edit:
    """Return a computed edit with its value.

    Args:
        argument: the JSON value of the field that the function reads.
        enqueued_at: when the message was queued.
        present: whether the message has the field.

    Raises:
        ValueError: the function has no result for `argument`; names the function and the field.
    """
    if edit.function is None:
        return edit
    if edit.function == ENQUEUED_AT:
        return Edit(edit.path, enqueued_at.isoformat())
    function = FUNCTIONS[edit.function]
    value = function.apply(argument) if present else None
    if value is None:
        found = quote(argument) if present else "nothing"
        raise ValueError(f"--edit {edit}: found {found} in {'.'.join(edit.argument)}, expected {function.expected}")
    return Edit(edit.path, value)
