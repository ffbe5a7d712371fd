"""Small tables of outcomes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from centralcloud.simulate.ground_truth import GroundTruth, make_ground_truth
from centralcloud.simulate.outcomes import OutcomeFile, read_outcomes
from centralcloud.simulate.scenario_file import scenario_from

#: Success rates of models at simple, medium and complex tasks: well apart, in the same order everywhere.
RATES = {"good": (0.95, 0.9, 0.9), "fair": (0.8, 0.75, 0.7), "poor": (0.5, 0.5, 0.4), "bad": (0.1, 0.1, 0.1)}


def table_text(rates: Mapping[str, Sequence[float]] = RATES, items: int = 200) -> str:
    """Return an outcome table in which each model succeeds at exactly these rates, at tasks that differ by model."""
    lines = ["model,item_id,complexity,success,latency_ms,cost_usd"]
    for number, (model, of_model) in enumerate(rates.items()):
        for complexity, rate in zip(("simple", "medium", "complex"), of_model, strict=True):
            for item in range(items):
                # 7 and 200 have no common factor, so this spreads the successes over all items.
                success = int((7 * item + 31 * number) % items < rate * items)
                lines.append(
                    f"{model},{complexity}-{item},{complexity},{success},{500 * (number + 1)},0.00{number + 1}"
                )
    return "\n".join(lines) + "\n"


def write_table(folder: Path, text: str | None = None, name: str = "outcomes.csv") -> Path:
    """Write the file of a table, by default that of `table_text`."""
    path = folder / name
    path.write_text(table_text() if text is None else text)
    return path


def a_table(folder: Path, rates: Mapping[str, Sequence[float]] = RATES, items: int = 200) -> OutcomeFile:
    """Return a table with these rates, read from its file."""
    return read_outcomes(write_table(folder, table_text(rates, items)))


def a_ground_truth(outcomes: OutcomeFile, **scenario: object) -> GroundTruth:
    """Return the ground truth of a scenario, which is evaluated by success alone unless it has weights."""
    parsed = scenario_from({"weights": {"latency": 0}, **scenario}, outcomes)
    return make_ground_truth(parsed, outcomes.table(parsed.answering))
