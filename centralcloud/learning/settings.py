"""Settings that decide what is learned: they must be the same in every replica."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import psycopg
from pydantic import BaseModel, ConfigDict, Field

from centralcloud.learning.rule import Rule
from centralcloud.learning.safety import SafetyLimits
from centralcloud.store.slices import References


class LearningMinimum(BaseModel):
    """The pairs that exist for learning. A fleet with few new pairs learns each from its first outcome on.

    Attributes:
        min_outcomes: while more than `FEW_PAIRS` pairs have fewer outcomes in their lifetime, these are not learned, except
            for those that have a score already. Their outcomes still count in the age of evidence. 0: every pair is learned.
    """

    model_config = ConfigDict(frozen=True)

    min_outcomes: int = Field(default=10, ge=0, le=1_000_000)


#: So many pairs with fewer outcomes than the minimum are learned all the same.
FEW_PAIRS: Final = 100


class LearningSettings(Protocol):
    """Settings of one run of the learner, as the database has them when the run reads its input."""

    @property
    def rules(self) -> Sequence[Rule]:
        """Every rule with its constants, the active one first."""

    @property
    def reference(self) -> References:
        """Caps of the evidence of the slice that the run closes."""

    @property
    def safety(self) -> SafetyLimits:
        """Limits of what the run may publish."""

    @property
    def learning(self) -> LearningMinimum:
        """The pairs that the run learns."""


class FixedLearningSettings(NamedTuple):
    """Settings that do not come from the database: for tests, and for programs that call the learner themselves."""

    rules: Sequence[Rule]
    reference: References
    safety: SafetyLimits
    learning: LearningMinimum = LearningMinimum()


#: Raises SettingsError when the database has a value that this version cannot use: the learner then does not run.
ReadLearningSettings: TypeAlias = Callable[[psycopg.Connection[Any]], LearningSettings]
