"""A model of the fleet's registry."""

from typing import Any, Final, Literal

import msgspec

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.fleet_configuration.condition import check_labels
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    Name,
    Price,
    Score,
    Tokens,
    check_name,
    check_size,
    convert,
    plain,
)
from centralcloud.contracts.limits import MAX_NAME_LENGTH

ModelStatus = Literal["active", "inactive"]
#: Paths of the programming interface, and words that a request has in the place of a model.
RESERVED_IDS: Final = frozenset({"batch", "auto", ".", ".."})
RESERVED_PREFIXES: Final = ("auto:", "policy:")
_MOST_ITEMS: Final = 100


class Capability(Entry, frozen=True):
    """An ability of a model.

    Attributes:
        type: such as ``text-generation`` or ``vision``.
        max_tokens: most tokens of an answer with it; None when unknown.
    """

    type: Label
    max_tokens: Tokens | None = None


class Pricing(Entry, frozen=True):
    """The prices of a model, in USD per million tokens.

    Attributes:
        input: of the tokens of the prompt.
        output: of the tokens of the answer.
        cached_input: of prompt tokens that the provider has cached; None: as `input`.
        cache_write: of prompt tokens that the provider has put into its cache; None: 1.25 times `input`.
    """

    input: Price
    output: Price
    cached_input: Price | None = None
    cache_write: Price | None = None


class ComplexityScores(Entry, frozen=True):
    """The configured scores of a model, 0.0 to 5.0; None for a complexity that it is not chosen for."""

    simple: Score | None = None
    medium: Score | None = None
    complex: Score | None = None


class RegisteredModel(Entry, frozen=True):
    """A model that every gateway of the fleet may choose.

    Attributes:
        id: the fleet's name of the model, 1 to 512 characters: `selected_model` in events, `modelId` in requests. Without
            one in the JSON, the version.
        name: text for people.
        version: the name that the provider is sent.
        provider: the provider's name.
        model_type: such as ``chat`` or ``embedding``.
        capabilities, tags: at most 100 each.
        parameters: defaults of requests, such as ``temperature`` and ``maxTokens``.
        status: an inactive model gets no request.
        pricing: None when unknown.
        context_window, max_output_tokens: in tokens; None when unknown.
        complexity_scores: until scores are learned.
    """

    id: Name
    name: Name
    version: Name
    provider: Name
    model_type: Label = "chat"
    capabilities: tuple[Capability, ...] = ()
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    status: ModelStatus = "active"
    tags: tuple[Label, ...] = ()
    pricing: Pricing | None = None
    context_window: Tokens | None = None
    max_output_tokens: Tokens | None = None
    complexity_scores: ComplexityScores = ComplexityScores()


def parse_model(value: Any, field: str = "model") -> RegisteredModel:
    """Parse the JSON form of a model.

    Args:
        field: begins the path of a field in an error.

    Raises:
        ContractError: a field is invalid, unknown or missing, or the id is reserved.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "name", "version", "provider", "modelType")
        if "version" in value:
            value.setdefault("id", value["version"])
        elif "id" not in value:
            # Without it the first missing field would be the id, which need not be given.
            raise ContractError(f"{field}.version", quote(MISSING), "the name that the provider is sent")
    model = convert(value, RegisteredModel, field)
    for name in ("id", "name", "version", "provider"):
        check_name(getattr(model, name), f"{field}.{name}")
    check_name(model.model_type, f"{field}.modelType", MAX_LABEL_LENGTH)
    if _is_reserved(model.id):
        raise ContractError(f"{field}.id", quote(model.id), "another id: this one is reserved")
    for name, items in (("capabilities", model.capabilities), ("tags", model.tags)):
        if len(items) > _MOST_ITEMS:
            raise ContractError(f"{field}.{name}", f"{len(items)} items", f"at most {_MOST_ITEMS}")
    for position, tag in enumerate(model.tags):
        check_name(tag, f"{field}.tags[{position}]", MAX_LABEL_LENGTH)
    for position, capability in enumerate(model.capabilities):
        check_name(capability.type, f"{field}.capabilities[{position}].type", MAX_LABEL_LENGTH)
    check_size(model, field)
    return model


def check_model_name(name: str, field: str) -> None:
    """Check a reference to a model: any name that a client could send for a model, but none for a choice of one.

    Raises:
        ContractError: it is not a name, or one like ``auto`` or ``policy:code``.
    """
    check_name(name, field)
    if _is_reserved(name):
        raise ContractError(field, quote(name), "the name of a model")


def check_model_names(names: tuple[str, ...], field: str) -> None:
    """Check a list of references to models, each once.

    Raises:
        ContractError: names the position.
    """
    check_labels(names, field, MAX_NAME_LENGTH)
    for position, name in enumerate(names):
        check_model_name(name, f"{field}[{position}]")


def _is_reserved(name: str) -> bool:
    return name in RESERVED_IDS or name.startswith(RESERVED_PREFIXES)
