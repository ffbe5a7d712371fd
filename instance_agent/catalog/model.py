"""One model of the catalog: its capabilities, prices and configured scores."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from centralcloud.contracts import SCORE_MAX, SCORE_MIN
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.contracts.text import read_name

Complexity = Literal["simple", "medium", "complex"]


def _plain_name(name: str) -> str:
    plain = read_name(name, MAX_NAME_LENGTH)
    if plain is None:
        raise ValueError("expected a name without control, bidirectional or invisible characters, of at most 900 bytes")
    return plain


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_plain_name)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=SCORE_MIN, le=SCORE_MAX)]


class Pricing(BaseModel):
    """The price of a model, in USD per million tokens.

    Attributes:
        input: of the tokens of the prompt, 0 or more.
        output: of the tokens of the answer, 0 or more.
    """

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
        name: as in `selected_model` of routing events, 1 to 512 characters, trimmed and in the Unicode form NFC; the key of
            learned scores.
        provider: the service through which this instance calls the model, 1 to 512 characters, likewise.
        capabilities: such as ``vision``; a task that requires some is routed to models that have all of them.
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
