"""The rules that detect problems and ends of experiments. Pure: states in, findings out."""

import shlex
from collections.abc import Iterable, Iterator
from typing import Any, Final

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import CONTROL
from centralcloud.experiments.comparison_state import COMPARISON
from centralcloud.experiments.stages import SAMPLE_RATIO
from centralcloud.monitoring.experiment_states import ExperimentState
from centralcloud.runtime.wording import age, apart, counted, percent
from centralcloud.store.findings import Finding

EXPERIMENT_SAMPLE_RATIO: Final = "experiment_sample_ratio"
EXPERIMENT_ROLLED_BACK: Final = "experiment_rolled_back"
EXPERIMENT_PROMOTED: Final = "experiment_promoted"
EXPERIMENT_UNDECIDED: Final = "experiment_undecided"
EXPERIMENT_FOLDING_BEHIND: Final = "experiment_folding_behind"
EXPERIMENT_OUTCOMES_LATE: Final = "experiment_outcomes_late"
EXPERIMENT_ARRIVAL_DIFFERS: Final = "experiment_arrival_differs"
EXPERIMENT_MISMATCHED: Final = "experiment_mismatched"
#: The kinds of findings that these rules make.
EXPERIMENT_FINDING_KINDS: Final = (
    EXPERIMENT_SAMPLE_RATIO,
    EXPERIMENT_ROLLED_BACK,
    EXPERIMENT_PROMOTED,
    EXPERIMENT_UNDECIDED,
    EXPERIMENT_FOLDING_BEHIND,
    EXPERIMENT_OUTCOMES_LATE,
    EXPERIMENT_ARRIVAL_DIFFERS,
    EXPERIMENT_MISMATCHED,
)

#: The end of an experiment is a finding for so long, unless it is removed before. A promotion that
#: reroutes is one until then.
_ENDED_SECONDS: Final = 7 * 86_400.0
#: Folding waits for messages in the queue, and for a while after an outage: less is part of normal work.
BEHIND_SECONDS: Final = 900.0
#: Largest share of records that may come too late to count, and the fewest late ones that are a finding.
_LATE_SHARE: Final = 0.03
_FEWEST_LATE: Final = 20
#: Fewest requests in an arm that their session cannot have that are a finding: no gateway makes any.
_FEWEST_MISMATCHED: Final = 5


def detect_experiment_findings(states: Iterable[ExperimentState]) -> Iterator[Finding]:
    """Yield every finding about experiments that holds now."""
    for state in states:
        if state.experiment.is_open:
            yield from _folding_behind(state)
            yield from _late_outcomes(state)
            yield from _arrival(state)
            yield from _mismatched(state)
        else:
            yield from _end(state)


def _end(state: ExperimentState) -> Iterator[Finding]:
    stage = state.experiment.stage
    if stage.by_hand:
        return
    is_new = state.stage_seconds < _ENDED_SECONDS
    if stage.status == "promoted" and state.experiment.learned_by is not None:
        return  # as planned: its scores are published as those of each run are
    if stage.status == "promoted" and (is_new or not _winner_is_table(state)):
        yield _promoted(state)
    elif not is_new:
        return
    elif stage.status == "rolledBack":
        yield _finding(
            EXPERIMENT_ROLLED_BACK,
            state,
            f"was rolled back {_when(state)}: {stage.reason}; every session is served by {CONTROL}. "
            f"`{_command(state, 'show')}` has the evidence{_withdrawn(state)}",
        )
    elif stage.status == "undecided":
        plan, outcomes = state.experiment.plan, round(sum(state.outcomes().values()))
        yield _finding(
            EXPERIMENT_UNDECIDED,
            state,
            f"ended undecided {_when(state)}, after {counted(outcomes, 'outcome')} of its arms: expected a decision within "
            f"{age(plan.horizon_seconds)} and {plan.horizon_outcomes:,} outcomes; every session is served by {CONTROL}. The "
            f"arms may differ by less than the margin ({percent(plan.margin)}); a larger share or scope decides sooner"
            f"{_withdrawn(state)}",
        )
    elif stage.reason == SAMPLE_RATIO:
        yield _finding(
            EXPERIMENT_SAMPLE_RATIO,
            state,
            f"was stopped {_when(state)}: its sessions are not split as recorded ({_split(state)}), so its arms cannot be "
            "compared. Look for what loses or repeats the sessions of one arm: a cache or retries before the gateways, a "
            "gateway that cannot serve the treatment, events that are lost; then start another experiment"
            f"{_withdrawn(state)}",
        )


def _withdrawn(state: ExperimentState) -> str:
    """Return what has become of the scores that the learner had proposed; empty for an experiment of an operator."""
    experiment = state.experiment
    if experiment.learned_by is None:
        return ""
    scores = counted(sum(len(each.score_table) for each in experiment.treatments), "score")
    return (
        f". It has withdrawn {scores} of {experiment.learned_by}: `centralcloud status` says when the learner proposes "
        f"such leaders again; `{_command(state, 'remove')}` lets it do so at once"
    )


def _promoted(state: ExperimentState) -> Finding:
    stage = state.experiment.stage
    if _winner_is_table(state):
        then = "its scores are published to the fleet, and learning goes on from them"
    else:
        then = (
            "it serves every session of the scope until the experiment is removed: put it into the configuration, then "
            f"`{_command(state, 'remove')}`"
        )
    text = f"has promoted {stage.winner} {_when(state)}: {stage.reason}; {then}"
    return _finding(EXPERIMENT_PROMOTED, state, text, winner=stage.winner)


def _folding_behind(state: ExperimentState) -> Iterator[Finding]:
    if state.behind_seconds <= BEHIND_SECONDS:
        return
    yield _finding(
        EXPERIMENT_FOLDING_BEHIND,
        state,
        f"does not count what is due: the oldest decision waits for {age(state.behind_seconds)}, expected at most "
        f"{age(BEHIND_SECONDS)}. Its guards are blind meanwhile. Messages that wait in the queue hold it back, and a daemon "
        "whose task `experiments` fails; `centralcloud doctor` finds both",
        seconds=round(state.behind_seconds),
    )


def _late_outcomes(state: ExperimentState) -> Iterator[Finding]:
    requests = _requests(state)
    late, total = state.late_dropped, requests + state.late_dropped
    if late < _FEWEST_LATE or late <= _LATE_SHARE * total:
        return
    found, most = apart(late / total, _LATE_SHARE)
    within = state.experiment.plan.outcome_within_seconds
    yield _finding(
        EXPERIMENT_OUTCOMES_LATE,
        state,
        f"had {counted(late, 'record')} that came after their time was folded ({found} of all): expected at most {most}. "
        f"They count nowhere. Events are sent too late, or outcomeWithinSeconds ({within:g}) is too short: it is the "
        "longest time of a request and a minute",
        late_dropped=late,
        requests=round(requests),
    )


def _arrival(state: ExperimentState) -> Iterator[Finding]:
    for number, treatment in enumerate(state.experiment.treatments):
        interval, means = state.interval(number, "arrived"), state.by_arm(number, "arrived", "mean")
        if interval is None or means is None or interval[0] <= 0 <= interval[1] or interval[0] > interval[1]:
            continue
        control, treated = apart(*means)
        yield _finding(
            EXPERIMENT_ARRIVAL_DIFFERS,
            state,
            f"compares arms whose outcomes do not arrive alike: within outcomeWithinSeconds {treated} of those of "
            f"{treatment.name} did, and {control} of those of {CONTROL}, which chance does not explain. A missing outcome "
            "counts as a failure: look for requests of one arm that take too long, or whose outcome is not reported",
            subject=f"{state.experiment.id}/{treatment.name}",
            treatment=treatment.name,
            arrived=means[1],
            arrived_of_control=means[0],
        )


def _mismatched(state: ExperimentState) -> Iterator[Finding]:
    if (count := _count_of(state, "mismatched")) < _FEWEST_MISMATCHED:
        return
    yield _finding(
        EXPERIMENT_MISMATCHED,
        state,
        f"had {counted(round(count), 'request')} in an arm, or at a share, that their session cannot have: expected that of "
        "the session's hash, at a step of the plan. They are left out. Look for a program that publishes events of its own, "
        "or a gateway whose configuration is not the fleet's",
        requests=round(count),
    )


def _requests(state: ExperimentState) -> float:
    """The requests that were folded."""
    return _count_of(state, "requests")


def _count_of(state: ExperimentState, name: str) -> float:
    """A count over all arms; that of control, which is the same in each comparison, once."""
    pairs = [
        counts
        for number in range(len(state.experiment.treatments))
        if (counts := state.by_arm(number, COMPARISON, name)) is not None
    ]
    return max((control for control, _ in pairs), default=0.0) + sum(treated for _, treated in pairs)


def _split(state: ExperimentState) -> str:
    pairs = [
        f"{round(counts[1]):,} sessions of {treatment.name}, {round(counts[0]):,} of {CONTROL}"
        for number, treatment in enumerate(state.experiment.treatments)
        if (counts := state.by_arm(number, COMPARISON, "sessions")) is not None
    ]
    return "; ".join(pairs) or "no session is folded"


def _winner_is_table(state: ExperimentState) -> bool:
    winner = state.experiment.stage.winner
    return any(each.name == winner and each.score_table for each in state.experiment.treatments)


def _when(state: ExperimentState) -> str:
    return f"at {state.experiment.stage.since:%Y-%m-%d %H:%M} UTC"


def _command(state: ExperimentState, verb: str) -> str:
    return f"centralcloud experiments {verb} {shlex.quote(state.experiment.id)}"


def _finding(kind: str, state: ExperimentState, text: str, *, subject: str | None = None, **details: Any) -> Finding:
    experiment = state.experiment
    known = {"experiment": experiment.id, "status": experiment.stage.status, **details}
    return Finding(kind, subject or experiment.id, f"the experiment {quote(experiment.name)} {text}", known)
