"""The estimate behind a score: how probable a success of the model is, and how certain that is."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from centralcloud.contracts.limits import MAX_INT8
from centralcloud.contracts.validators import is_number, is_share


class Estimate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The success probability of one (model, complexity), as a rule estimates it. Each part may be missing.

    Attributes:
        mean, n_eff: the success probability is Beta(mean * n_eff, (1 - mean) * n_eff); `mean` is 0 to 1, `n_eff` (how many
            outcomes the estimate is worth) is above 0. An estimate that was parsed has both or neither.
        draw_n: a router draws as if the estimate were worth so many outcomes; above 0. Without it, `n_eff` counts.
        probe_share: share of the tasks of this complexity, 0 to 1, that should go to the model to keep its score up to date.
        interval: low and high end of the 5% to 95% interval of the success probability, each 0 to 1.
    """

    mean: float | None = None
    n_eff: float | None = None
    draw_n: float | None = None
    probe_share: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def beta(self) -> tuple[float, float] | None:
        """The parameters (alpha, beta) of the distribution to draw from; None without `mean` and `n_eff`."""
        if self.mean is None or self.n_eff is None:
            return None
        outcomes = self.n_eff if self.draw_n is None else self.draw_n
        return self.mean * outcomes, (1 - self.mean) * outcomes

    def to_json(self) -> dict[str, Any]:
        """Return the parts that are set, in their JSON form, by name."""
        parts = {
            "mean": self.mean,
            "n_eff": self.n_eff,
            "draw_n": self.draw_n,
            "probe_share": self.probe_share,
            "interval": None if self.interval is None else list(self.interval),
        }
        return {name: value for name, value in parts.items() if value is not None}


#: For a score without an estimate: a configured or manual one, or one of a rule that estimates no probability.
NO_ESTIMATE: Final = Estimate()


def parse_estimate(values: Mapping[str, Any]) -> Estimate:
    """Parse the estimate among the keys of a JSON object or a database row; other keys are ignored.

    A part that is missing, null or invalid is left out: a wrong estimate must not cost the score that it came with.
    `mean` without a valid `n_eff` is left out too, and the reverse.
    """
    mean, n_eff, draw_n, probe_share = (values.get(name) for name in ("mean", "n_eff", "draw_n", "probe_share"))
    valid = is_share(mean) and is_number(n_eff) and 0 < n_eff <= MAX_INT8
    drawable = valid and is_number(draw_n) and 0 < draw_n <= MAX_INT8
    return Estimate(
        mean=float(mean) if valid else None,  # type: ignore[arg-type]
        n_eff=float(n_eff) if valid else None,  # type: ignore[arg-type]
        draw_n=float(draw_n) if drawable else None,  # type: ignore[arg-type]
        probe_share=float(probe_share) if is_share(probe_share) else None,
        interval=_interval(values.get("interval")),
    )


def _interval(value: Any) -> tuple[float, float] | None:
    match value:
        case [low, high] if is_share(low) and is_share(high) and low <= high:
            return float(low), float(high)
    return None
