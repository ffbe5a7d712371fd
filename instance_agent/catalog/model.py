"""One model of the catalog: its capabilities, prices and configured scores."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts import SCORE_MAX, SCORE_MIN

Complexity = Literal["simple", "medium", "complex"]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=SCORE_MIN, le=SCORE_MAX)]


class Pricing(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Price
    output: Price

    @property
    def average(self) -> float:
        """Mean of both prices, USD per million tokens."""
        return (self.input + self.output) / 2


class Model(BaseModel):
    """One entry of the catalog YAML.

    Attributes:
        context_window, max_output_tokens: in tokens; None when unknown.
        pricing: None when unknown.
        complexity_scores: 0.0 to 5.0 for each complexity that the model may be chosen for. Without a score for a complexity,
            the model is not chosen for it until a score is learned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: Name
    provider: Name
    capabilities: frozenset[str] = frozenset()
    context_window: int | None = Field(default=None, gt=0)
    max_output_tokens: int | None = Field(default=None, gt=0)
    pricing: Pricing | None = None
    complexity_scores: dict[Complexity, Score] = {}
