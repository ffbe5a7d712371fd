"""An invented table of outcomes, for machines without a recorded one. The same on every machine."""

import csv
import math
import random
from pathlib import Path
from typing import Final

#: (complexity, items, mean difficulty of its items in logits)
_COMPLEXITIES: Final = (("simple", 600, 0.0), ("medium", 300, 0.4), ("complex", 450, 0.8))


def write_outcomes(path: Path, *, models: int = 20, seed: int = 1, share: float = 1.0) -> None:
    """Write a table of `models` models to `path`.

    The Rasch model of test theory (Rasch 1960): success has the logit ability less difficulty. Abilities fall from 3 to -2,
    evenly, with some noise for each complexity; prices fall likewise, and abler models tend to be slower.
    `share` is that of the items. examples/simulate/outcomes.csv.gz has 6 models and a tenth of the items.
    """
    rng = random.Random(seed)
    difficulty = {
        f"{complexity}-{item}": (complexity, rng.gauss(mean, 1.0))
        for complexity, items, mean in _COMPLEXITIES
        for item in range(round(share * items))
    }
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("model", "item_id", "complexity", "success", "latency_ms", "cost_usd"))
        for model in range(models):
            ability = 3.0 - 5.0 * model / max(1, models - 1)
            own = {complexity: rng.gauss(0.0, 0.3) for complexity, _, _ in _COMPLEXITIES}
            median_ms, price = rng.uniform(500, 1500) * math.exp(ability / 6), 0.004 * math.exp(ability / 2)
            for item, (complexity, hardness) in difficulty.items():
                chance = 1 / (1 + math.exp(hardness - ability - own[complexity]))
                latency_ms, cost_usd = rng.lognormvariate(math.log(median_ms), 0.5), price * rng.uniform(0.5, 1.5)
                row = (f"made-up-{model + 1}", item, complexity, int(rng.random() < chance))
                writer.writerow((*row, f"{latency_ms:.1f}", f"{cost_usd:.6f}"))
