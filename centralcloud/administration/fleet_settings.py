"""Fleet settings: change one in the database, which all replicas read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from centralcloud.learning.publication import score_transaction
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.fleet_settings import list_settings, store_setting
from centralcloud.store.operator_actions import Action, Operator, record_action


class SettingChange(NamedTuple):
    """The result of setting a value.

    Attributes:
        was_stored: whether the database had a value, which is `before`.
        changed: whether it was written.
    """

    name: str
    was_stored: bool
    before: Any
    after: Any
    changed: bool


def change_setting(
    database: Database,
    name: str,
    value: Any,
    operator: Operator,
    *,
    check: Callable[[dict[str, Any]], Mapping[str, Any]],
) -> SettingChange:
    """Store one fleet setting, in a transaction that holds the score lock.

    Args:
        value: as text or JSON.
        check: from stored values by name, all settings as they would be stored.

    Raises:
        SettingsError: `check` refuses the value, on its own or together with the other ones.
    """
    with score_transaction(database) as (connection, _):
        stored = {row.name: row.value for row in list_settings(connection)}
        after = check({**stored, name: value})[name]
        was_stored, before = name in stored, stored.get(name)
        changed = not was_stored or before != after
        if changed:
            value_before = {"value": before} if was_stored else None
            store_setting(connection, name, after)
            record_action(
                connection, operator, Action.CHANGE_SETTING, name, before=value_before, after={"value": after}
            )
    return SettingChange(name, was_stored, before, after, changed)
