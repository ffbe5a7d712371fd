"""The base class of every error that is meant for a user or operator."""

from typing import Any, Final

_LONGEST_QUOTE = 80


class CentralCloudError(Exception):
    """An error that a user can act on. Its text is one line: what was found, where, and what was expected.

    Attributes:
        exit_code: exit code of a command: 1 for failed work, 2 for wrong usage or settings.
    """

    exit_code = 1


class SettingsError(CentralCloudError):
    """A setting, a file that a setting names, or the usage of a command is wrong."""

    exit_code = 2


class ContractError(CentralCloudError):
    """A message violates its contract.

    Attributes:
        field: path of the invalid field, e.g. ``routing_decision.complexity``; ``message`` for the whole message.
        found, expected: in words.
    """

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: found {found}, expected {expected}")
        self.field = field
        self.found = found
        self.expected = expected


#: Placeholder for the value of a field that is missing.
MISSING: Final = object()


def quote(value: Any) -> str:
    """Return `value` as JSON or as a description, short enough for one line of a log."""
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value[:_LONGEST_QUOTE].encode("unicode_escape").decode("ascii").replace('"', '\\"')
        # ASCII only: the reason of a dead letter must fit into a database of any encoding.
        more = f"... ({len(value)} characters)" if len(value) > _LONGEST_QUOTE else ""
        return f'"{shown}{more}"'
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    if isinstance(value, int) and abs(value) >= 10**_LONGEST_QUOTE:
        return f"a number of more than {_LONGEST_QUOTE} digits"
    return repr(value)
