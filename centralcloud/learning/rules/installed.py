"""Rules that others have installed: classes named by an entry point in the group `centralcloud.rules`."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Final

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.rule import Rule

ENTRY_POINT_GROUP: Final = "centralcloud.rules"


class BadRuleError(CentralCloudError):
    """An installed rule cannot be used."""


def installed_rules() -> Iterator[Rule]:
    """Every installed rule, made without arguments.

    Raises:
        BadRuleError: one cannot be imported or made, or is no rule.
    """
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        where = f"entry point {entry_point.name} = {entry_point.value} in {ENTRY_POINT_GROUP}"
        try:
            rule = entry_point.load()()
        except Exception as error:
            raise BadRuleError(f"{where}: cannot be used: {type(error).__name__}: {error}") from error
        missing = [name for name in ("eager", "exclude", "evaluate", "recompute", "reset") if not hasattr(rule, name)]
        if getattr(rule, "name", None) != entry_point.name or missing:
            found = f"no {', '.join(missing)}" if missing else f"the name {getattr(rule, 'name', None)!r}"
            raise BadRuleError(f"{where}: found {found}, expected a rule of the name {entry_point.name!r}")
        yield rule
