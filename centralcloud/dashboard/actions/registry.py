"""All actions."""

from collections.abc import Mapping
from typing import Final

from centralcloud.dashboard.actions.action import Action
from centralcloud.dashboard.actions.experiments import PauseAction, PromoteAction, ResumeAction, StopAction
from centralcloud.dashboard.actions.freezing import FreezeAction, UnfreezeAction
from centralcloud.dashboard.actions.letters import DiscardAction, ReplayAction
from centralcloud.dashboard.actions.model_status import StatusAction
from centralcloud.dashboard.actions.pins import PinAction, UnpinAction
from centralcloud.dashboard.actions.rollback import RollBackAction

_ALL: Final[tuple[Action, ...]] = (
    PinAction(),
    UnpinAction(),
    RollBackAction(),
    FreezeAction(),
    UnfreezeAction(),
    ReplayAction(),
    DiscardAction(),
    StatusAction(),
    PauseAction(),
    ResumeAction(),
    StopAction(),
    PromoteAction(),
)
ACTIONS: Final[Mapping[str, Action]] = {action.name: action for action in _ALL}
