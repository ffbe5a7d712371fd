"""How an experiment came to where it is: verdicts, and changes by hand. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.pages.experiment_words import reason_of, verdict_words
from centralcloud.dashboard.pages.words import State, via
from centralcloud.dashboard.sources.experiments import ExperimentChange
from centralcloud.experiments.results import Verdict

_MOST_EVENTS: Final = 100
_DAEMON: Final = "daemon"
_BY_EVIDENCE: Final = "by the evidence"
#: The change that an operator has made, by the status after it.
_DONE: Final = {"paused": "was paused", "stopped": "was stopped", "promoted": "was promoted"}


class Event(NamedTuple):
    """A verdict, or a change by hand.

    Attributes:
        badge: state and words, such as "was promoted".
        subject: the treatment, or the experiment.
        who: "by the evidence", or the operator and the way.
    """

    at: datetime
    badge: tuple[State, str]
    subject: str
    reason: str
    who: str
    share: str


class History(NamedTuple):
    """The events, newest first. `more`: those that are not shown; `last`: the newest verdict; None: there is none."""

    events: tuple[Event, ...]
    more: int
    last: Event | None


def history_of(experiment: Experiment, verdicts: Sequence[Verdict], changes: Sequence[ExperimentChange]) -> History:
    """Return the verdicts and the changes by hand, newest first; those of the daemon are verdicts."""
    decided = [_of_verdict(experiment, each) for each in verdicts]
    by_hand = [_of_change(experiment, each) for each in changes if each.via != _DAEMON]
    events = sorted([*decided, *by_hand], key=lambda each: each.at, reverse=True)
    return History(
        tuple(events[:_MOST_EVENTS]),
        max(0, len(events) - _MOST_EVENTS),
        max(decided, key=lambda each: each.at, default=None),
    )


def _of_verdict(experiment: Experiment, verdict: Verdict) -> Event:
    names = [each.name for each in experiment.treatments]
    number, share = verdict.treatment, verdict.facts.get("share")
    subject = names[number] if number is not None and number < len(names) else experiment.name
    share_words = f"{100 * share:.3g}%" if isinstance(share, int | float) and share else ""
    return Event(
        verdict.at, verdict_words(verdict.verdict), subject, reason_of(verdict.facts), "by the evidence", share_words
    )


def _of_change(experiment: Experiment, change: ExperimentChange) -> Event:
    who, _, _ = change.who.rpartition(" as ")
    state: State = "good" if change.after == "promoted" else "note" if change.after == "running" else "look"
    author = f"{who or change.who}, {via(change.way)}"
    return Event(change.at, (state, _done(change)), experiment.name, change.reason or "", author, "")


def _done(change: ExperimentChange) -> str:
    if change.before is None:
        return "was started" if change.after is not None else "was changed"
    if change.after is None:
        return "was removed"
    if change.after == "running":
        return "was resumed" if change.before == "paused" else "was changed"
    return _DONE.get(change.after, "was changed") if change.after != change.before else "was changed"
