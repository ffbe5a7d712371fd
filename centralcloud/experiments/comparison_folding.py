"""Fold the sessions and decisions of a batch into the evidence about one treatment. Pure, and vectorised."""

from typing import Final, NamedTuple

from centralcloud.contracts.fleet_configuration import ExperimentPlan
from centralcloud.experiments.bad_minutes import ArmMinute, judge
from centralcloud.experiments.comparison_state import (
    COUNTED,
    METRICS,
    OF_CANARY,
    STRATA,
    TIME_CLASS_GROWTH,
    TIME_CLASSES,
    Comparison,
)
from centralcloud.experiments.e_process import Sessions
from centralcloud.experiments.interval import intersect, interval
from centralcloud.experiments.session_batches import (
    ARRIVED,
    CONTROL,
    COUNTS,
    REQUEST_COUNTS,
    REQUEST_SUCCEEDED,
    REWARDED,
    Assembled,
    Clock,
    Decisions,
    FoldedSessions,
)
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np

#: Minutes of a window, whose evidence for a promotion is capped.
WINDOW_MINUTES: Final = 10
_BAD_CONTROL: Final = 1
_BAD_TREATMENT: Final = 2
_OF_ARRIVAL: Final = (slice(None), slice(METRICS.index("arrived"), METRICS.index("arrived") + 1))
#: Sessions that are folded at a time: their arrays fit the processor's cache.
_TOGETHER: Final = 64


class FirstOutcomes(NamedTuple):
    """The first outcomes of sessions, for the prompt guard, in the order of their arrival: 1 for a success, else 0."""

    arm: Integers
    share: Floats
    stratum: Integers
    x: Floats


def fold_first_outcomes(comparison: Comparison, treatment: int, firsts: FirstOutcomes) -> None:
    """Fold first outcomes into the evidence of the prompt guard."""
    rows = np.flatnonzero((firsts.arm == CONTROL) | (firsts.arm == treatment))
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        counts = (firsts.stratum[part, None] == np.arange(STRATA)).astype(np.float64)[:, None, :]
        x = firsts.x[part, None]
        treated = firsts.arm[part, None] == treatment
        comparison.canary.prompt.fold(Sessions(treated, firsts.share[part, None], counts, counts * x[..., None], x * x))


def count_decisions(
    comparison: Comparison,
    treatment: int,
    decisions: Decisions,
    assembled: Assembled,
    mismatched: Integers,
    more: dict[str, Booleans],
) -> None:
    """Count the decisions of both arms, for people.

    Args:
        mismatched: the arms of the decisions that were left out, as they cannot have them.
        more: the decisions that a further name of `COUNTED` counts.
    """
    has_share, begun = ~np.isnan(decisions.share), assembled.begun
    compared = has_share & ~assembled.returned
    marks = {
        "requests": compared,
        "returned": has_share & assembled.returned,
        "sessions": begun & compared,
        **{name: mark & compared for name, mark in more.items()},
    }
    arrived = (decisions.outcomes["flags"] & ARRIVED) > 0
    marks["missing"] = compared & ~arrived
    milliseconds = decisions.outcomes["ms"]
    for arm, rows in enumerate((decisions.arm == CONTROL, decisions.arm == treatment)):
        for name, mark in marks.items():
            comparison.counts[arm, COUNTED.index(name)] += int((mark & rows).sum())
        left_out = mismatched == (treatment if arm else CONTROL)
        comparison.counts[arm, COUNTED.index("mismatched")] += int(left_out.sum())
        timed = milliseconds[rows & compared & (milliseconds >= 0)]
        classes = np.ceil(np.log(np.maximum(timed, 1.0)) / np.log(TIME_CLASS_GROWTH)).astype(np.int64)
        comparison.times[arm] += np.bincount(np.minimum(classes, TIME_CLASSES - 1), minlength=TIME_CLASSES)


def judge_minutes(comparison: Comparison, treatment: int, decisions: Decisions, first: int, clock: Clock) -> None:
    """Judge the minutes from `first` to the end of the batch: whether an arm was out of order in one."""
    rows = ~np.isnan(decisions.share) & ((decisions.arm == CONTROL) | (decisions.arm == treatment))
    minute, key = decisions.at[rows] // clock.minute - first, decisions.key[rows]
    treated, outcomes = decisions.arm[rows] == treatment, decisions.outcomes[rows]
    counts = (outcomes["flags"] & COUNTS) > 0
    order = np.lexsort([key, treated, minute])
    minute, key, treated, counts = minute[order], key[order], treated[order], counts[order]
    failures = np.where(counts, 1.0 - outcomes["x"][order], 0.0)
    changes = (minute[1:] != minute[:-1]) | (key[1:] != key[:-1]) | (treated[1:] != treated[:-1])
    heads = np.flatnonzero(np.concatenate([[True], changes])[: len(minute)])
    if len(heads):
        failed = 2 * np.add.reduceat(failures, heads) > np.add.reduceat(counts.astype(np.float64), heads)
        cell = 2 * minute[heads] + treated[heads]
    else:
        failed, cell = np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)
    minutes = clock.minutes - first
    sessions = np.bincount(cell, minlength=2 * minutes).reshape(minutes, 2)
    bad = np.bincount(cell[failed], minlength=2 * minutes).reshape(minutes, 2)
    found = []
    for number, ((control, treatment_sessions), (control_bad, treatment_bad)) in enumerate(
        zip(sessions.tolist(), bad.tolist(), strict=True)
    ):
        judgement, comparison.usual = judge(
            comparison.usual, ArmMinute(control, control_bad), ArmMinute(treatment_sessions, treatment_bad)
        )
        if any(judgement):
            found.append((first + number, _BAD_CONTROL * judgement.control + _BAD_TREATMENT * judgement.treatment))
    # No outcome of a session that is still open is older: each of up to 20 comes within the idle time of the one before.
    oldest = clock.minutes - 21 * (clock.idle // clock.minute + 1)
    known = comparison.bad_minutes[:, 0]
    kept = comparison.bad_minutes[
        (known >= oldest) & (known < first)
    ]  # after the clock was set back, some are judged again
    new = np.array(found, dtype=np.int64).reshape(-1, 2)
    comparison.bad_minutes = np.concatenate([kept, new[new[:, 0] >= oldest]])


def fold_sessions(
    comparison: Comparison,
    treatment: int,
    folded: FoldedSessions,
    plan: ExperimentPlan,
    first: int,
    clock: Clock,
    *,
    alpha: float,
) -> None:
    """Fold complete sessions in their order, window by window; close the windows that end in the batch.

    Args:
        alpha: probability with which the intersection of all intervals ever misses a difference.
        first: the first minute of the batch.
        clock: its end.
    """
    chosen = (folded.arm == CONTROL) | (folded.arm == treatment)
    place = np.cumsum(chosen) - 1
    rows = chosen[folded.outcome_of]
    size = int(chosen.sum())
    values = _Values(place[folded.outcome_of[rows]], folded.outcomes[rows], size, plan)
    treated, share = folded.arm[chosen] == treatment, folded.share[chosen]
    everything = values.sessions(treated, share, np.ones(len(values.of), dtype=bool))
    bad = _bad_outcomes(comparison.bad_minutes, values.outcomes["minute"])
    promotion = guarded = everything
    if bad.any():
        promotion = values.sessions(treated, share, bad == 0)
        guarded = values.sessions(treated, share, (bad & _BAD_CONTROL) == 0)
    promotion, rollback, arrived = _of_canary(promotion), _of_canary(guarded), _mapped(guarded, _OF_ARRIVAL)
    _count_folded(comparison, everything)
    window = folded.minute[chosen] // WINDOW_MINUTES
    rewarded = _first_rewarded(comparison, values)
    for number in sorted({*np.unique(window).tolist(), first // WINDOW_MINUTES}):
        start, end = (int(each) for each in np.searchsorted(window, [number, number + 1]))
        for stop in sorted(
            {*range(start + _TOGETHER, end, _TOGETHER), end, *rewarded.intersection(range(start, end + 1))}
        ):
            part = slice(start, stop)
            if stop > start:
                comparison.canary.fold_parts(
                    _part(_of_canary(everything), part),
                    promotion=_part(promotion, part),
                    rollback=_part(rollback, part),
                )
                comparison.arrival.fold(_part(arrived, part))
                comparison.intervals.fold(_part(everything, part))
                comparison.sample_ratio.fold(treated[part, None], share[part, None])
            if stop in rewarded:
                comparison.expect_rewards()
            start = stop
        if (number + 1) * WINDOW_MINUTES <= clock.minutes:
            comparison.canary.close_window()
            comparison.possible = intersect(comparison.possible, interval(comparison.intervals, alpha=alpha))


class _Values(NamedTuple):
    """Outcomes of `size` sessions: the place of the session of each, and the outcomes themselves."""

    of: Integers
    outcomes: "np.ndarray"
    size: int
    plan: ExperimentPlan

    def sessions(self, treated: Booleans, share: Floats, kept: Booleans) -> Sessions:
        """Return the sessions with the outcomes that are kept, one comparison for each metric."""
        of, outcomes = self.of[kept], self.outcomes[kept]
        cell = of * STRATA + np.minimum(outcomes["stratum"], STRATA - 1)
        shape = (self.size, STRATA)
        counts, sums, squares = [], [], []
        for counted, x in self._metrics(outcomes):
            weights = np.where(counted, x, 0.0)
            counts.append(np.bincount(cell, counted, self.size * STRATA).reshape(shape))
            sums.append(np.bincount(cell, weights, self.size * STRATA).reshape(shape))
            squares.append(np.bincount(of, weights * weights, self.size))
        wide = (self.size, len(METRICS))
        return Sessions(
            np.broadcast_to(treated[:, None], wide),
            np.broadcast_to(share[:, None], wide),
            np.stack(counts, axis=1),
            np.stack(sums, axis=1),
            np.stack(squares, axis=1),
        )

    def _metrics(self, outcomes: "np.ndarray") -> list[tuple[Booleans, Floats]]:
        """Return, for each of `METRICS`, which outcomes count, and their numbers from 0 to 1."""
        plan, flags, milliseconds, cost = self.plan, outcomes["flags"], outcomes["ms"], outcomes["cost"]
        slo = plan.slo_ms
        slower = (milliseconds > slo) if slo is not None else np.zeros(len(flags), dtype=bool)
        arrived = (flags & ARRIVED) > 0
        return [
            ((flags & COUNTS) > 0, outcomes["x"]),
            (milliseconds >= 0, np.minimum(milliseconds, plan.latency_cap_ms) / plan.latency_cap_ms),
            (cost >= 0, np.minimum(cost, plan.cost_cap_usd) / plan.cost_cap_usd),
            ((flags & REQUEST_COUNTS) > 0, ((flags & REQUEST_SUCCEEDED) > 0).astype(np.float64)),
            ((milliseconds >= 0) & (slo is not None), slower.astype(np.float64)),
            (np.ones(len(flags), dtype=bool), arrived.astype(np.float64)),
        ]


def _bad_outcomes(bad_minutes: Integers, minutes: Integers) -> Integers:
    """Return for each outcome which arm was out of order in its minute: 0 for none."""
    if not len(bad_minutes):
        return np.zeros(len(minutes), dtype=np.int64)
    place = np.minimum(np.searchsorted(bad_minutes[:, 0], minutes), len(bad_minutes) - 1)
    found: Integers = np.where(bad_minutes[place, 0] == minutes, bad_minutes[place, 1], 0)
    return found


def _first_rewarded(comparison: Comparison, values: _Values) -> set[int]:
    """Return after how many sessions the outcomes have rewards; none, if that is known or none has."""
    rewarded = values.of[(values.outcomes["flags"] & REWARDED) > 0]
    return set() if comparison.is_graded or not len(rewarded) else {int(rewarded.min()) + 1}


def _count_folded(comparison: Comparison, sessions: Sessions) -> None:
    for arm, rows in enumerate((~sessions.treated[:, 0], sessions.treated[:, 0])):
        comparison.counts[arm, COUNTED.index("folded_sessions")] += int(rows.sum())
        found = np.stack([sessions.counts[rows].sum(axis=-1), sessions.sums[rows].sum(axis=-1)], axis=-1)
        comparison.sums[arm] = np.add.accumulate(np.concatenate([comparison.sums[arm][None], found]))[-1]


def _of_canary(sessions: Sessions) -> Sessions:
    return _mapped(sessions, (slice(None), slice(OF_CANARY)))


def _part(sessions: Sessions, part: slice) -> Sessions:
    return _mapped(sessions, (part,))


def _mapped(sessions: Sessions, places: tuple[slice, ...]) -> Sessions:
    return Sessions(
        sessions.treated[places],
        sessions.share[places],
        sessions.counts[places],
        sessions.sums[places],
        sessions.squares[places],
    )
