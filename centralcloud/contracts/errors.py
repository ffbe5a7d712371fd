"""The base of every error that is meant for a person."""

from typing import Any, Final

_LONGEST_QUOTE = 80


class CentralCloudError(Exception):
    """Something a person can act on: its text is one line that says what was found, where, and what was expected.

    `exit_code` is what a command ends with: 1 for failed work, 2 for wrong usage or settings.
    """

    exit_code = 1


class SettingsError(CentralCloudError):
    """A setting, a file named by one, or the use of a command is wrong."""

    exit_code = 2


class ContractError(CentralCloudError):
    """A message breaks its contract.

    Attributes:
        field: path of the offending field, e.g. ``routing_decision.complexity``; ``message`` for the message as a whole.
    """

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: found {found}, expected {expected}")
        self.field = field


#: Stands for a field that is not there.
MISSING: Final = object()


def quote(value: Any) -> str:
    """`value` as a person would write it in JSON, cut to a length that fits in one line of a log."""
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= _LONGEST_QUOTE else f"{value[:_LONGEST_QUOTE]}… ({len(value)} characters)"
        return '"' + shown.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    if isinstance(value, int) and abs(value) >= 10**_LONGEST_QUOTE:
        return f"a number of more than {_LONGEST_QUOTE} digits"
    return repr(value)
