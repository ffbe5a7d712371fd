"""What an experiment waits for, in words: the conditions by which the daemon decides. Pure."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.contracts.canary import Condition, ConditionName
from centralcloud.contracts.experiment_conditions import Conditions, conditions_of
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.comparison_state import COMPARISON
from centralcloud.experiments.sentences import counted_points
from centralcloud.experiments.statements import Facts
from centralcloud.runtime.wording import age, counted

_NAMES: Final[Mapping[ConditionName, str]] = {
    "pause": "Time of the pause",
    "dwell": "Time on this step",
    "hold": "Time of the hold",
    "treated": "Outcomes of the treatment",
    "win": "Better in success, time or cost",
    "worse": "Fewer successes",
    "feedback": "Less feedback arrives",
}
#: A page is sent again when its words change: a time in whole tens of seconds does so less often.
_TENS: Final = 10
#: Odds beyond this have no meaning for a reader.
_MOST_ODDS: Final = 1e6


class Said(NamedTuple):
    """A condition in words.

    Attributes:
        now, needed: in words.
        reached: how much of it is reached, 0 to 1; of evidence the logs.
    """

    name: str
    now: str
    needed: str
    is_met: bool
    reached: float


def read_conditions(experiment: Experiment, facts: Mapping[int, Facts], now: datetime) -> Conditions:
    """Return what an experiment waits for, by its results.

    Args:
        facts: by treatment, as of `statements.facts_by_treatment`.
    """
    return conditions_of(experiment, {number: evidence_in(each) for number, each in facts.items()}, now)


def evidence_in(facts: Facts) -> Mapping[str, Any] | None:
    """Return the evidence that the stages follow; None: nothing is folded."""
    found = facts.get(COMPARISON, {}).get("evidence")
    return found if isinstance(found, Mapping) else None


def waiting_lines(experiment: Experiment, conditions: Conditions, now: datetime) -> Iterator[str]:
    """Yield a line for each condition that an open experiment waits for: "waits for: time on this step, 4 minutes of 10"."""
    if not experiment.is_open:
        return
    if not conditions.upward:
        yield f"waits for: {_by_hand(experiment, now)}"
        return
    for each in conditions.unmet:
        said = said_of(experiment, each)
        odds_word = "odds " if each.unit == "evidence" else ""
        reached = "" if each.name == "settled" else f", {odds_word}{said.now} of {said.needed}"
        yield f"waits for: {said.name[:1].lower()}{said.name[1:]}{reached}"
    if not conditions.unmet:
        yield "waits for: the next round of the daemon"


def said_of(experiment: Experiment, condition: Condition) -> Said:
    """Return a condition in words."""
    reached = 1.0 if condition.needed <= 0 else min(1.0, max(0.0, condition.now) / condition.needed)
    return Said(_name(experiment, condition), *_amounts(condition), condition.is_met, reached)


def _name(experiment: Experiment, condition: Condition) -> str:
    plan, stage = experiment.plan, experiment.stage
    limit = f"{100 * plan.ratio_limit:.3g}%"
    if condition.name == "settled":
        if stage.status == "paused":
            return "Sessions from before the pause have ended and count"
        return "Sessions from before the step have ended"
    if condition.name == "loss":
        return f"Loses less than {_points(plan.harm_budget / experiment.shares[stage.step + 1])} of success"
    if condition.name == "margin":
        return f"Loses less than {_points(plan.margin)} of success"
    if condition.name in ("time", "cost"):
        return f"At most {limit} {'slower' if condition.name == 'time' else 'dearer'}"
    if condition.name in ("slower", "dearer"):
        return f"{condition.name.capitalize()} by more than {limit}"
    return _NAMES[condition.name]


def _amounts(condition: Condition) -> tuple[str, str]:
    now, needed = condition.now, condition.needed
    if condition.unit == "seconds":
        passed = needed if condition.is_met else _TENS * (max(0.0, now) // _TENS)
        return age(passed), age(needed)
    if condition.unit == "outcomes":
        return f"{int(now):,}", f"{int(needed):,}"
    if condition.unit == "sessions":
        return "not yet", "all"
    return _odds(now), f"1:{math.exp(needed):,.0f}"


def _by_hand(experiment: Experiment, now: datetime) -> str:
    plan, stage = experiment.plan, experiment.stage
    if stage.status == "paused":
        return f"`centralcloud experiments resume {experiment.id}`: a pause by hand ends by hand"
    left = plan.horizon_seconds - (now - stage.began).total_seconds()
    return (
        f"`centralcloud experiments stop` or `promote`: nothing promotes an A/B test; it ends undecided in {age(left)}, or "
        f"after {counted(plan.horizon_outcomes, 'outcome')}"
    )


def _odds(log_value: float) -> str:
    """Return an e-value in short: "1:3.1"."""
    value = math.exp(min(max(0.0, log_value), math.log(_MOST_ODDS)))
    return f"1:{value:,.0f}" if value >= 10 or log_value <= 0 else f"1:{value:,.1f}"


def _points(share: float) -> str:
    return counted_points(f"{100 * share:.3g}")
