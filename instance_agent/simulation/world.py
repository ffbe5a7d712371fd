"""The simulated world: models with hidden success rates, and the providers that serve them. Read from a YAML."""

from importlib import resources
from typing import Annotated, Final, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from centralcloud.contracts import COMPLEXITIES, SettingsError

Share = Annotated[float, Meta(ge=0, le=1)]
Three = tuple[float, float, float]
#: Mean tokens of an answer, by complexity.
OUTPUT_TOKENS: Final = {"simple": 120, "medium": 400, "complex": 900}


class SimulatedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of the world. Each tuple of three is for simple, medium and complex tasks.

    Attributes:
        scores: in the catalog, 0.0 to 5.0: the opinion at the start.
        success_rates: the hidden probability of a right answer, 0 to 1.
        latency_ms: mean time of a whole answer.
        price: USD per million tokens of input and of output.
    """

    name: str
    provider: str
    scores: Three
    success_rates: tuple[Share, Share, Share]
    latency_ms: Three
    price: tuple[float, float]
    capabilities: frozenset[str] = frozenset()
    context_window: int | None = None


class SimulatedProvider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider of the world.

    Attributes:
        error_rate: share of the requests that are refused with 503.
        hang_rate: share that gets no answer.
        first_byte_seconds: time limit of its entry in the catalog; None: the gateway's.
        requests_per_second: more are refused with 429; None: no limit.
    """

    name: str
    dialect: Literal["openai", "anthropic"] = "openai"
    error_rate: Share = 0.0
    hang_rate: Share = 0.0
    first_byte_seconds: float | None = None
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None


class World(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The models and providers."""

    models: tuple[SimulatedModel, ...]
    providers: tuple[SimulatedProvider, ...]


def column(complexity: str) -> int:
    """Return the place of a complexity in a tuple of three."""
    return COMPLEXITIES.index(complexity)


def read_world(text: str, name: str) -> World:
    """Read a world from YAML; raise SettingsError with one line, which begins with `name`."""
    try:
        world = msgspec.convert(yaml.safe_load(text), World)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{name}: {' '.join(str(error).split())}") from None
    known = {each.name for each in world.providers}
    for model in world.models:
        if model.provider not in known:
            raise SettingsError(f"{name}: {model.name} has the provider {model.provider!r}, expected one of the list")
    return world


def built_in_world() -> World:
    """Return the world that comes with the package."""
    return read_world(resources.files(__package__).joinpath("world.yaml").read_text(), "the built-in world")
