"""`centralcloud simulate --experiment`: a canary or an A/B test, tried before it is run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from centralcloud.runtime.terminal.output import print_json, print_table, print_text
from centralcloud.runtime.wording import counted, decimals, percent

_MINUTE: Final = 60.0
#: How a metric's difference is shown.
_RATIOS: Final = ("latency", "cost")


def simulate_experiment_file(path: Path, seeds: Sequence[int], jobs: int | None, *, as_json: bool) -> None:
    """Simulate the experiment of a file, and print what the runs say together.

    Raises:
        SettingsError: the file cannot be read or is not an experiment.
    """
    from centralcloud.simulate.experiments.reports import simulate_experiment
    from centralcloud.simulate.experiments.scenario_file import read_experiment

    result = simulate_experiment(read_experiment(path), seeds, jobs=jobs)
    if as_json:
        print_json({"experiment": str(path), **result})
        return
    show = _show_canaries if result["kind"] == "canary" else _show_ab
    show(result)
    runs = counted(len(result["seeds"]), "run")
    kind = "canary" if result["kind"] == "canary" else "A/B test"
    print_text(f"{kind}: {runs} in {decimals(result['elapsed_seconds'], 1)} s; shares with their standard error")


def _show_canaries(result: Mapping[str, Any]) -> None:
    treatments = result["treatments"]
    columns = ["treatment", "promoted", "rolled back", "undecided", "open", "minutes", "90%"]
    rows = [
        [
            each["name"],
            *(_share(each[key]) for key in ("promoted", "rolled_back", "undecided", "open")),
            *(_minutes(each["verdict_seconds"][key]) for key in ("median", "p90")),
            *(_number(each["served_at_stop"][key]) for key in ("median", "p90")),
            _with_error(each["extra_failures"]),
        ]
        for each in treatments
    ]
    print_table([*columns, "served at stop", "90%", "extra failures"], rows, empty="")
    costs = "; ".join(
        f"{each['name']} {_number(each['requests']['median'])} requests, {_number(each['served']['median'])} of them "
        "served by treatment"
        for each in treatments
    )
    print_text(f"Traffic until the verdict, at the median: {costs}.")


def _show_ab(result: Mapping[str, Any]) -> None:
    rows = [
        [
            treatment["name"],
            metric,
            _share(found["higher"]),
            _share(found["lower"]),
            _minutes(found["declared_seconds"]["median"]),
            _number(found["declared_outcomes"]["median"]),
            _half_width(metric, found["half_width"]["median"]),
        ]
        for treatment in result["treatments"]
        for metric, found in treatment["metrics"].items()
    ]
    columns = ["treatment", "metric", "found higher", "found lower", "minutes", "outcomes", "interval at the end"]
    print_table(columns, rows, empty="")
    print_text(
        f"Traffic until the end, at the median: {_number(result['requests']['median'])} requests of all arms in "
        f"{_minutes(result['seconds']['median'])} minutes."
    )


def _share(found: Mapping[str, float]) -> str:
    return f"{percent(found['share'])} ± {decimals(100 * found['standard_error'], 1)}"


def _with_error(found: Mapping[str, float | None]) -> str:
    mean, error = found["mean"], found["standard_error"]
    assert mean is not None
    return decimals(mean, 1) if error is None else f"{decimals(mean, 1)} ± {decimals(error, 1)}"


def _minutes(seconds: float | None) -> str | None:
    return None if seconds is None else decimals(seconds / _MINUTE)


def _number(value: float | None) -> str | None:
    return None if value is None else decimals(value)


def _half_width(metric: str, value: float | None) -> str | None:
    if value is None:
        return None
    return f"± {percent(value)}" if metric in _RATIOS else f"± {decimals(100 * value, 2)} points"
