"""Settings that decide what is learned: they must be the same in every replica."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import psycopg

from centralcloud.learning.rule import Rule
from centralcloud.learning.safety import SafetyLimits
from centralcloud.store.slices import References


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


class FixedLearningSettings(NamedTuple):
    """Settings that do not come from the database: for tests, and for programs that call the learner themselves."""

    rules: Sequence[Rule]
    reference: References
    safety: SafetyLimits


#: Raises SettingsError when the database has a value that this version cannot use: the learner then does not run.
ReadLearningSettings: TypeAlias = Callable[[psycopg.Connection[Any]], LearningSettings]
