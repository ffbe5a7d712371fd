"""The experiments in one line: whether a daemon looks after them, and how far their records are folded."""

from typing import Any, Final

from centralcloud.contracts.experiment_changes import STATUS_WORDS
from centralcloud.monitoring.experiment_findings import BEHIND_SECONDS
from centralcloud.monitoring.experiment_states import Experiments, ExperimentState
from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.wording import age, ago, counted, listed

#: The daemon looks at open experiments every 30 seconds or more often; gateways treat none after 900.
UNATTENDED_SECONDS: Final = 120.0
_MOST_NAMED: Final = 5


def check_experiments(found: Experiments) -> CheckResult | None:
    """Check that a daemon looks after the open experiments, and folds their records. None: there is no experiment."""
    if found.unreadable:
        return warn(
            f"this version cannot read {listed(found.unreadable, _MOST_NAMED)}",
            "upgrade this program, and the daemons: a newer version has started the experiment",
        )
    if not found.states:
        return None
    unattended = found.unattended_seconds
    if unattended is not None and unattended > UNATTENDED_SECONDS:
        last = "never" if found.seen_seconds is None else ago(found.seen_seconds)
        return warn(
            f"{experiments_in_words(found)}; a daemon looked after them {last}, expected within {age(UNATTENDED_SECONDS)}: "
            "none is paused or rolled back meanwhile, and after 15 minutes gateways treat no session",
            "start `centralcloud run`, or read its log: background_task_degraded names the task experiments",
        )
    if behind := [each for each in found.open if each.behind_seconds > BEHIND_SECONDS]:
        names = listed([f"{each.experiment.id} ({age(each.behind_seconds)})" for each in behind], _MOST_NAMED)
        return warn(
            f"{experiments_in_words(found)}; decisions that are due do not count yet: {names}",
            "messages that wait in the queue hold them back, see `centralcloud queue`; else read the log of the daemon",
        )
    return ok(experiments_in_words(found))


def experiments_in_words(found: Experiments) -> str:
    """Return how many experiments there are in each status, and how far those that are open are folded."""
    statuses = [each.experiment.stage.status for each in found.states]
    words = ", ".join(f"{statuses.count(status)} {word}" for status, word in STATUS_WORDS.items() if status in statuses)
    folded = _folded(found.open)
    return f"{counted(len(statuses), 'experiment')}: {words}{f'; {folded}' if folded else ''}"


def as_json(found: Experiments) -> dict[str, Any]:
    """Return the experiments for programs. Times are ISO 8601, ages in seconds, shares 0 to 0.95."""
    return {
        "unattended_seconds": found.unattended_seconds,
        "experiments": [
            {
                "id": each.experiment.id,
                "name": each.experiment.name,
                "status": each.experiment.stage.status,
                "share": each.experiment.split.share,
                "since": each.experiment.stage.since.isoformat(),
                "folded_until": each.folded_until.isoformat() if each.folded_until else None,
                "behind_seconds": each.behind_seconds if each.experiment.is_open else None,
            }
            for each in found.states
        ],
        "found": experiments_in_words(found) if found.states else None,
    }


def _folded(open_ones: list[ExperimentState]) -> str:
    if not open_ones:
        return ""
    if any(each.folded_until is None for each in open_ones):
        new = sum(each.folded_until is None for each in open_ones)
        return f"nothing is folded of {new:,} yet"
    oldest = max((each.now - each.folded_until).total_seconds() for each in open_ones if each.folded_until)
    return f"folded until {ago(oldest)}"
