"""All actions."""

from collections.abc import Mapping
from typing import Any, Final

from centralcloud.dashboard.actions.action import Action
from centralcloud.dashboard.actions.pins import PinAction, UnpinAction
from centralcloud.dashboard.reader.source import Source

_ALL: Final[tuple[Action, ...]] = (PinAction(), UnpinAction())
ACTIONS: Final[Mapping[str, Action]] = {action.name: action for action in _ALL}
#: Values of the snapshot that the actions show.
ACTION_SOURCES: Final[tuple[Source[Any], ...]] = tuple(
    dict.fromkeys(source for action in _ALL for source in action.sources)
)
