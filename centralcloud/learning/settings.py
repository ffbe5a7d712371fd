"""Settings that decide what is learned: they must be the same in every replica."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

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


#: How the scores of the learner reach the fleet: at once, or after a canary where they change who leads.
PublicationMode: TypeAlias = Literal["direct", "canary"]


class CanarySettings(BaseModel):
    """When learned scores go to a canary first, with `publication` = canary.

    Attributes:
        traffic_share: a run that would change who leads for more than this share of the fleet's decisions (0 to 1) does.
        again_hours: leaders that a canary has withdrawn are not proposed again for so long.
    """

    model_config = ConfigDict(frozen=True)

    traffic_share: float = Field(default=0.05, ge=0, le=1)
    again_hours: float = Field(default=24.0, ge=0, le=8760)


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

    @property
    def publication(self) -> PublicationMode:
        """How scores that change who leads are published."""

    @property
    def canary(self) -> CanarySettings:
        """When they go to a canary."""


class FixedLearningSettings(NamedTuple):
    """Settings that do not come from the database: for tests, and for programs that call the learner themselves."""

    rules: Sequence[Rule]
    reference: References
    safety: SafetyLimits
    learning: LearningMinimum = LearningMinimum()
    publication: PublicationMode = "direct"
    canary: CanarySettings = CanarySettings()


#: Raises SettingsError when the database has a value that this version cannot use: the learner then does not run.
ReadLearningSettings: TypeAlias = Callable[[psycopg.Connection[Any]], LearningSettings]
