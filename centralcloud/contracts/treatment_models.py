"""The check of the models that an experiment tries: a mistyped one would go unnoticed until requests are missed. Pure."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.experiment import Experiment

_MOST_CLOSE: Final = 3
_MOST_NAMED: Final = 10


def check_treatment_models(
    experiment: Experiment, known: Collection[str], field: str, *, inactive: Collection[str] = ()
) -> None:
    """Check that the models of the treatments are known and active, for an experiment that is about to begin.

    Args:
        known: names and aliases of the models that gateways have: registered ones, and those of catalogs as far as known.
        field: path of the experiment, which begins the path in an error.
        inactive: registered models that get no request.

    Raises:
        ContractError: a model is not known, or is not active; names its path, and the closest of the others.
    """
    usable = sorted(set(known) - set(inactive))
    for position, each in enumerate(experiment.treatments):
        if each.model is None or each.model in usable:
            continue
        path, found = f"{field}.treatments[{position}].model", quote(each.model)
        if each.model in inactive:
            raise ContractError(path, f"{found}, which is inactive", f"an active model{_named(each.model, usable)}")
        raise ContractError(path, found, f"a model that is registered or has had requests{_named(each.model, usable)}")


def _named(name: str, usable: list[str]) -> str:
    """Return the models that may have been meant, else those that there are."""
    if close := get_close_matches(name, usable, n=_MOST_CLOSE, cutoff=0.6):
        return f", such as {', '.join(close)}"
    if not usable:
        return ": there is none yet"
    more = len(usable) - _MOST_NAMED
    return f": {', '.join(usable[:_MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")
