"""One model of the catalog: its capabilities, prices, endpoints and configured scores."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from centralcloud.contracts import SCORE_MAX, SCORE_MIN
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.contracts.text import read_name
from instance_agent.catalog.addresses import base_of, check_url

Complexity = Literal["simple", "medium", "complex"]
#: `active` is chosen, `deprecated` is used only when a client names it, `inactive` is never used.
Status = Literal["active", "deprecated", "inactive"]
ModelType = Literal["chat", "completion", "embedding"]
EndpointType = Literal["primary", "secondary", "fallback"]
#: In the order in which the endpoints of a model are tried.
ENDPOINT_TYPES: Final[tuple[EndpointType, ...]] = ("primary", "secondary", "fallback")


def _plain_name(name: str) -> str:
    plain = read_name(name, MAX_NAME_LENGTH)
    if plain is None:
        raise ValueError("expected a name without control, bidirectional or invisible characters, of at most 900 bytes")
    return plain


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_plain_name)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=SCORE_MIN, le=SCORE_MAX)]
Url = Annotated[str, AfterValidator(check_url)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Weight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


class Pricing(BaseModel):
    """The price of a model, in USD per million tokens.

    Attributes:
        input: of the tokens of the prompt, 0 or more.
        output: of the tokens of the answer, 0 or more.
        cached_input: of the tokens of the prompt that the provider's cache gave, 0 or more; None: as `input`.
        cache_write: of the tokens of the prompt that the provider's cache took, 0 or more; None: 1.25 times `input`, which
            Anthropic charges for five minutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Price
    output: Price
    cached_input: Price | None = None
    cache_write: Price | None = None

    @property
    def average(self) -> float:
        """Mean of both prices, USD per million tokens."""
        return (self.input + self.output) / 2


class TimeLimits(BaseModel):
    """The time limits of a call by phase, in seconds: more than 0, at most 86400; None: that of the provider or gateway.

    Attributes:
        connect_seconds: until the connection stands.
        first_byte_seconds: from the request to the first byte of the answer; a model that thinks needs minutes.
        idle_seconds: between two parts of a stream.
        total_seconds: for the whole call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_seconds: Seconds | None = None
    first_byte_seconds: Seconds | None = None
    idle_seconds: Seconds | None = None
    total_seconds: Seconds | None = None


class Endpoint(BaseModel):
    """An address at which a provider serves a model.

    Attributes:
        url: http or https; None: the provider's base URL. It may end with the path of an operation (/chat/completions).
        type: endpoints are tried by type: primary, secondary, fallback.
        weight: share of the requests among the endpoints of a model with the same type.
        health_check_url: an address that says without cost whether the endpoint is up; None: there is none.
        version: the name that the provider is sent at this endpoint; None: that of the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url | None = None
    type: EndpointType = "primary"
    weight: Weight = 1.0
    health_check_url: Url | None = None
    version: Name | None = None

    @property
    def base_url(self) -> str | None:
        """The URL without the path of an operation; None: the provider's."""
        return None if self.url is None else base_of(self.url)


class Model(BaseModel):
    """One entry of the catalog YAML.

    Attributes:
        name: as in `selected_model` of routing events, 1 to 512 characters, trimmed and in the Unicode form NFC; the key of
            learned scores.
        provider: the service through which this instance calls the model, 1 to 512 characters, likewise.
        version: the name that the provider is sent; None: `name`.
        display_name: a text for people; None: `name`.
        status: ``active``; ``deprecated``: used only when a client names the model; ``inactive``: never used.
        model_type: ``chat``, ``completion`` or ``embedding``; a request is routed to models of its type.
        tags: labels such as ``gdpr``.
        parameters: default parameters of its requests, such as ``temperature``.
        endpoints: addresses; none: one at the provider's base URL.
        time_limits: of its calls; those that are None are the provider's.
        capabilities: such as ``vision``; a task that requires some is routed to models that have all of them.
        context_window, max_output_tokens: in tokens; None when unknown.
        pricing: None when unknown.
        complexity_scores: 0.0 to 5.0 for each complexity that the model may be chosen for. Without a score for a complexity,
            the model is not chosen for it until a score is learned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: Name
    provider: Name
    version: Name | None = None
    display_name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)] | None = None
    status: Status = "active"
    model_type: ModelType = "chat"
    tags: frozenset[Tag] = frozenset()
    parameters: dict[str, JsonValue] = {}
    endpoints: tuple[Endpoint, ...] = ()
    time_limits: TimeLimits = TimeLimits()
    capabilities: frozenset[str] = frozenset()
    context_window: int | None = Field(default=None, gt=0)
    max_output_tokens: int | None = Field(default=None, gt=0)
    pricing: Pricing | None = None
    complexity_scores: dict[Complexity, Score] = {}

    @property
    def sent_as(self) -> str:
        """The name that the provider is sent."""
        return self.version or self.name
