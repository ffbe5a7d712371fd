"""Numbers in any form that can mean only one: a number, or a string that holds one. Pure."""

import re
from typing import Any, Final

from centralcloud.contracts.validators import is_number

#: A decimal number in ASCII digits. Neither `inf` nor `1_000` nor `1,000`, of which the last has two meanings.
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_LONGEST: Final = 400


def read_number(value: Any) -> int | float | None:
    """Return the number in a JSON number or a numeric string ("0.0021", " 120 "); None for any other value."""
    if is_number(value):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    text = value.strip()
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def read_integer(value: Any) -> int | None:
    """Return the whole number in 120, 120.0, "120" or "120.0"; None for any other value, such as 12.5."""
    number = read_number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number
