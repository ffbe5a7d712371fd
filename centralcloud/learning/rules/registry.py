"""The registry of rules: the built-in ones, and those of other packages, which an entry point names.

Both are entry points, so both are found, loaded and checked in the same way.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.rule import Rule

ENTRY_POINT_GROUP: Final = "centralcloud.rules"
_ROOM: Final = "centralcloud.learning.rules"
_BUILT_IN: Final = tuple(
    EntryPoint(name, value, ENTRY_POINT_GROUP)
    for name, value in (
        ("threshold", f"{_ROOM}.threshold:ThresholdRule"),
        ("adaptive", f"{_ROOM}.adaptive:AdaptiveRule"),
    )
)
#: The rules that ship with CentralCloud.
BUILT_IN_RULES: Final = tuple(entry_point.name for entry_point in _BUILT_IN)
_MEMBERS: Final = ("eager", "exclude", "evaluate", "recompute", "reset")


class BadRuleError(CentralCloudError):
    """A rule cannot be loaded, or is not a rule."""


def make_rules(constants: Mapping[str, Any] | None = None) -> dict[str, Rule]:
    """Make every rule, by name, the built-in ones first.

    Args:
        constants: settings of rules, by the rule's name. A rule that is named here is made with its settings as the only
            argument, any other one without arguments.

    Raises:
        BadRuleError: a rule cannot be imported or made, is not a rule, or has the name of another one.
    """
    rules: dict[str, Rule] = {}
    for entry_point in (*_BUILT_IN, *entry_points(group=ENTRY_POINT_GROUP)):
        where = f"entry point {entry_point.name} = {entry_point.value} in {ENTRY_POINT_GROUP}"
        if entry_point.name in rules:
            raise BadRuleError(f"{where}: found a second rule named {entry_point.name!r}, expected another name")
        rules[entry_point.name] = _make(entry_point, where, constants or {})
    return rules


def _make(entry_point: EntryPoint, where: str, constants: Mapping[str, Any]) -> Rule:
    name = entry_point.name
    try:
        rule: Rule = entry_point.load()(*([constants[name]] if name in constants else []))
    except Exception as error:
        raise BadRuleError(f"{where}: cannot be used: {type(error).__name__}: {error}") from error
    if missing := [member for member in _MEMBERS if not hasattr(rule, member)]:
        raise BadRuleError(f"{where}: found no {', '.join(missing)}, expected a rule named {name!r}")
    if (found := getattr(rule, "name", None)) != name:
        raise BadRuleError(f"{where}: found the name {found!r}, expected a rule named {name!r}")
    return rule
