"""Folding: the records of an experiment become evidence, each exactly once.

Decisions are read in the order of their time, once they are as old as the plan lets an outcome come: each is read once, with
the outcome that it has then. The watermark (`folded_until`), the evidence, the open sessions and the results change in the
caller's transaction, under the lock of one row: a daemon that is killed has folded a batch or has not, and two daemons fold
after each other.

The watermark is held back by what is not ingested yet, and after the database or the daemon was unavailable: an outage of
ingest is not a failure of models. A record that comes after its time was folded counts nowhere, but in `late_dropped`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.experiment_conditions import canary_plan
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.contracts.fleet_configuration.experiment import CONTROL as CONTROL_NAME
from centralcloud.experiments import session_batches as batches
from centralcloud.experiments.array_rows import read_arrays
from centralcloud.experiments.comparison_folding import (
    FirstOutcomes,
    count_decisions,
    fold_first_outcomes,
    fold_sessions,
    judge_minutes,
)
from centralcloud.experiments.comparison_state import OF_CANARY, Comparison, ComparisonStateError, read_comparison
from centralcloud.experiments.decision_time import to_microseconds, to_time
from centralcloud.experiments.late_records import LateRecords
from centralcloud.experiments.results import store_results
from centralcloud.experiments.session_batches import Clock, Decisions, OpenSessions, assemble, outcome_type
from centralcloud.runtime.arrays import Booleans, np
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.swallowed_rows import require_stored

#: Records that one call folds at most, but for a single minute with more. The server ends a transaction that idles for 15 s.
MOST_RECORDS: Final = 10_000
#: Ids of records that the prompt guard looks at in one call.
_MOST_IDS: Final = 40_000
_MICROSECONDS: Final = 1_000_000
#: Minutes, of which each is judged, that one call folds at most: the table has room for the counts of 5,400. And how short
#: one may be, in microseconds.
_MOST_MINUTES: Final = 4_000
_LEAST_MINUTE: Final = 10_000


class _Progress(NamedTuple):
    began: datetime
    folded_until: datetime
    prompted_id: int
    step: int
    retries: int
    late_dropped: int
    state: bytes


_READ_PROGRESS = Query(__package__, "read_progress", row=_Progress)
_INSERT_PROGRESS = Query(__package__, "insert_progress")
_UPDATE_PROGRESS = Query(__package__, "update_progress")
_DELETE_PROGRESS = Query(__package__, "delete_progress")
_BATCH_END = Query(__package__, "batch_end", row=datetime)
_READ_DECISIONS = Query(__package__, "read_decisions")
_READ_FIRST_OUTCOMES = Query(__package__, "read_first_outcomes")
_NEWEST_RECORD = Query(__package__, "newest_record", row=int)
_READ_SESSIONS = Query(__package__, "read_sessions")
_INSERT_SESSIONS = Query(__package__, "insert_sessions", row=int)
_UPSERT_SESSIONS = Query(__package__, "upsert_sessions")
_DELETE_SESSIONS = Query(__package__, "delete_sessions")
_OLDEST_SESSION: Query[Any] = Query(__package__, "oldest_session", row=datetime)
_READ_COMPARISONS = Query(__package__, "read_comparisons")
_UPSERT_COMPARISON = Query(__package__, "upsert_comparison")


@dataclass(frozen=True, slots=True)
class Folded:
    """The evidence about an experiment after a fold.

    Attributes:
        facts: of each treatment.
        has_older_sessions: whether a session may still be open that began before the stage.
        sample_ratio_alarm: whether sessions are split otherwise than recorded.
        folded_until: decisions before are folded.
        decisions: that this call has folded.
        is_behind: whether more can be folded at once.
    """

    facts: Sequence[Facts]
    has_older_sessions: bool
    sample_ratio_alarm: bool
    folded_until: datetime
    decisions: int
    is_behind: bool


def fold(
    connection: psycopg.Connection[Any],
    experiment: Experiment,
    ingested_until: datetime,
    *,
    most_records: int = MOST_RECORDS,
) -> Folded:
    """Fold what is due of an experiment, at most about `most_records`, in the connection's transaction.

    Args:
        ingested_until: events that were sent before are ingested, by the server's clock; see `progress.ingested_until`.

    Raises:
        ComparisonStateError: the stored evidence cannot be read.
    """
    return _Fold(connection, experiment).run(ingested_until, most_records)


class _Fold:
    """One fold of one experiment."""

    def __init__(self, connection: psycopg.Connection[Any], experiment: Experiment) -> None:
        self._connection = connection
        self._experiment = experiment
        plan = experiment.plan
        self._minute = max(_LEAST_MINUTE, round(plan.minute_seconds * _MICROSECONDS))
        self._idle = round(plan.idle_seconds * _MICROSECONDS)
        self._within = timedelta(seconds=plan.outcome_within_seconds)
        self._plan = canary_plan(experiment)
        self._progress = self._begin()
        self._late = LateRecords.read(self._progress.state)
        self._states: dict[int, bytes] = {}
        self._comparisons = self._read_comparisons()
        self._names = {"control": CONTROL_NAME, "treatments": [each.name for each in experiment.treatments]}

    def run(self, ingested_until: datetime, most_records: int) -> Folded:
        progress, stage = self._progress, self._experiment.stage
        self._begin_stage(progress)
        # Until the share begins again, what is folded is from before the pause: its failures must not count after it.
        is_before_retry = stage.retries != progress.retries and stage.before is not None
        prompted, catches_up = self._fold_first_outcomes(progress.prompted_id)
        since = to_microseconds(progress.folded_until) // self._minute
        due = max(since, to_microseconds(ingested_until - self._within) // self._minute)
        until = min(self._batch_end(since, due, most_records), since + _MOST_MINUTES)
        decisions = self._fold_minutes(since, until) if until > since else 0
        if is_before_retry:
            self._begin_stage(progress)
        dropped = progress.late_dropped + self._count_late(since, until)
        folded_until = to_time(until * self._minute)
        stored = _UPDATE_PROGRESS.run(
            self._connection,
            {
                "experiment_id": self._experiment.id,
                "folded_until": folded_until,
                "prompted_id": prompted,
                "step": stage.step,
                "retries": progress.retries if is_before_retry else stage.retries,
                "late_dropped": dropped,
                "state": self._late.to_bytes(),
            },
        )
        require_stored("experiment_progress", written=1, stored=stored)
        facts = [_facts(each) for each in self._comparisons]
        if self._store_comparisons() or dropped != progress.late_dropped:
            store_results(self._connection, self._experiment, self._comparisons, facts, late_dropped=dropped)
        oldest = self._oldest_session(until)
        return Folded(
            facts=facts,
            has_older_sessions=folded_until < stage.since or (oldest is not None and oldest < stage.since),
            sample_ratio_alarm=any(bool(each.sample_ratio.alarms()[0]) for each in self._comparisons),
            folded_until=folded_until,
            decisions=decisions,
            is_behind=until < due or catches_up,
        )

    def _begin(self) -> _Progress:
        """Return the progress, locked; of an experiment that is new, from the minute in which it began."""
        key, stage = {"experiment_id": self._experiment.id}, self._experiment.stage
        found = _READ_PROGRESS.maybe(self._connection, key)
        if found is not None and found.began != stage.began:
            _DELETE_PROGRESS.run(self._connection, {"experiment_ids": [self._experiment.id]})
            found = None
        if found is None:
            first = to_microseconds(stage.began) // self._minute
            values = {
                **key,
                "began": stage.began,
                "folded_until": to_time(first * self._minute),
                "step": stage.step,
                "retries": stage.retries,
                "state": LateRecords.none(first).to_bytes(),
            }
            _INSERT_PROGRESS.run(self._connection, values)
            found = _READ_PROGRESS.one(self._connection, key)
        return found

    def _read_comparisons(self) -> list[Comparison]:
        treatments = len(self._experiment.treatments)
        rows = _READ_COMPARISONS.all(self._connection, {"experiment_id": self._experiment.id})
        if not rows:
            return [Comparison(self._plan) for _ in range(treatments)]
        if [number for number, _ in rows] != list(range(treatments)):
            raise ComparisonStateError(
                f"experiment_comparisons: found treatments {[number for number, _ in rows]} of {self._experiment.id}, "
                f"expected 0 to {treatments - 1}: restore them from a backup"
            )
        self._states = {number: bytes(state) for number, state in rows}
        return [read_comparison(self._plan, state) for state in self._states.values()]

    def _store_comparisons(self) -> bool:
        """Store the evidence that has changed; whether any has."""
        changed = False
        for number, comparison in enumerate(self._comparisons):
            state = comparison.to_bytes()
            if state != self._states.get(number):
                values = {"experiment_id": self._experiment.id, "treatment": number, "state": state}
                stored = _UPSERT_COMPARISON.run(self._connection, values)
                require_stored("experiment_comparisons", written=1, stored=stored)
                changed = True
        return changed

    def _begin_stage(self, progress: _Progress) -> None:
        """Begin the evidence for a roll back anew where the experiment has moved since the last fold."""
        stage = self._experiment.stage
        for comparison in self._comparisons:
            if stage.retries != progress.retries:
                comparison.canary.begin_again(0)
            elif stage.step != progress.step:
                comparison.canary.begin_step(0, stage.step)

    def _fold_first_outcomes(self, after_id: int) -> tuple[int, bool]:
        """Fold the first outcomes of sessions that have arrived; return the newest record that was looked at.

        A session that begins without being compared is stored, too: it must not begin again at a later outcome.

        A record of a transaction that was committed after that of a greater id may be left out: at most once is enough here.
        """
        newest = _NEWEST_RECORD.maybe(self._connection) or 0
        until_id = min(newest, after_id + _MOST_IDS)
        if until_id <= after_id:
            return after_id, False
        found = read_arrays(
            self._connection,
            _READ_FIRST_OUTCOMES,
            {"experiment": self._experiment.id, "after_id": after_id, "until_id": until_id, **self._names},
        )
        order = np.argsort(found["id"], kind="stable")
        found = {name: values[order] for name, values in found.items()}
        is_first = np.zeros(len(order), dtype=bool)
        is_first[np.unique(found["key"], return_index=True)[1]] = True
        is_first &= found["arm"] >= batches.CONTROL
        sessions = np.flatnonzero(is_first & (found["alone"] == 0))
        if len(sessions):
            new = _INSERT_SESSIONS.all(
                self._connection,
                {
                    "experiment_id": self._experiment.id,
                    "keys": found["key"][sessions].tolist(),
                    "at": found["at"][sessions].tolist(),
                    "share": found["share"][sessions].tolist(),
                    "arm": found["arm"][sessions].tolist(),
                },
            )
            is_first[sessions] = np.isin(found["key"][sessions], np.array(new, dtype=np.int64))
        chosen = np.flatnonzero(is_first & (found["share"] > 0))
        firsts = FirstOutcomes(
            found["arm"][chosen],
            found["share"][chosen],
            found["stratum"][chosen],
            found["won"][chosen].astype(np.float64),
        )
        for number, comparison in enumerate(self._comparisons):
            fold_first_outcomes(comparison, number, firsts)
        return until_id, until_id < newest

    def _batch_end(self, since: int, due: int, most_records: int) -> int:
        """Return the minute before which this call folds: fewer than are due, where these have too many records."""
        if due <= since:
            return since
        idle = -(-self._idle // self._minute)
        # Sessions that become idle are folded, too: as many as had a decision so long ago.
        found = [
            self._minute_beyond(since, due, most_records),
            self._minute_beyond(since - idle, due - idle, most_records),
        ]
        ends = [end + shift for end, shift in zip(found, (0, idle), strict=True) if end is not None]
        return max(since + 1, min(due, *ends)) if ends else due

    def _minute_beyond(self, since: int, until: int, records: int) -> int | None:
        """Return the minute of the record after so many others in a span of minutes; None: it has not as many."""
        values = {"since": to_time(since * self._minute), "until": to_time(until * self._minute), "records": records}
        beyond = _BATCH_END.maybe(self._connection, {"experiment": self._experiment.id, **values})
        return None if beyond is None else to_microseconds(beyond) // self._minute

    def _fold_minutes(self, since: int, until: int) -> int:
        clock = Clock(self._minute, self._idle, until * self._minute)
        decisions, marks = self._read_decisions(since, until)
        keys = np.unique(decisions.key[~decisions.alone])
        known = self._read_sessions(keys.tolist(), clock)
        assembled = assemble(decisions, known, clock)
        for number, comparison in enumerate(self._comparisons):
            count_decisions(comparison, number, decisions, assembled.begun, marks)
            judge_minutes(comparison, number, decisions, since, clock)
            alpha = self._experiment.plan.alpha / len(self._comparisons)
            fold_sessions(comparison, number, assembled.folded, self._experiment.plan, since, clock, alpha=alpha)
        self._store_sessions(assembled)
        return len(decisions.key)

    def _read_decisions(self, since: int, until: int) -> tuple[Decisions, dict[str, Booleans]]:
        found = read_arrays(
            self._connection,
            _READ_DECISIONS,
            {
                "experiment": self._experiment.id,
                "since": to_time(since * self._minute),
                "until": to_time(until * self._minute),
                "within": self._within,
                **self._names,
            },
        )
        order = np.lexsort([found["id"], found["at"]])
        found = {name: values[order] for name, values in found.items()}
        facts, reward = found["facts"], found["reward"]
        arrived, own_blameless, won = (facts & 1) > 0, (facts & 2) > 0, (facts & 8) > 0
        request_won, blameless = (facts & 16) > 0, (facts & 32) > 0
        outcomes = np.zeros(len(order), dtype=outcome_type())
        outcomes["minute"] = found["at"] // self._minute
        outcomes["stratum"] = found["stratum"]
        outcomes["x"] = np.where(reward >= 0, np.clip(reward, 0.0, 1.0), won.astype(np.float64))
        timed = arrived & ~own_blameless
        outcomes["ms"] = np.where(timed, found["ms"], -1.0)
        outcomes["cost"] = np.where(timed, found["cost"], -1.0)
        outcomes["flags"] = (
            arrived * batches.ARRIVED
            + ~own_blameless * batches.COUNTS
            + (request_won | ~blameless) * batches.REQUEST_COUNTS
            + request_won * batches.REQUEST_SUCCEEDED
            + ((reward >= 0) & ~own_blameless) * batches.REWARDED
        )
        share = np.where(found["share"] < 0, np.nan, found["share"])
        decisions = Decisions(found["key"], found["at"], found["alone"] > 0, found["arm"], share, outcomes)
        return decisions, {"aborts": (facts & 4) > 0, "feedback_cut": (facts & 64) > 0}

    def _read_sessions(self, keys: list[int], clock: Clock) -> OpenSessions:
        values = {
            "experiment_id": self._experiment.id,
            "keys": keys,
            "idle_since": to_time(clock.until - clock.idle),
        }
        found = read_arrays(self._connection, _READ_SESSIONS, values)
        # The outcomes are in the order of the rows.
        outcomes = np.frombuffer(found.pop("outcomes"), dtype=outcome_type())
        counts = found["bytes"] // batches.OUTCOME_BYTES
        order = np.argsort(found["key"], kind="stable")
        place = np.repeat(np.argsort(order), counts)
        by_key = np.argsort(place, kind="stable")
        share = np.where(found["share"] < 0, np.nan, found["share"])
        return OpenSessions(
            found["key"][order],
            found["first_at"][order],
            found["last_at"][order],
            found["arm"][order],
            share[order],
            found["is_folded"][order] > 0,
            counts[order],
            outcomes[by_key],
        )

    def _store_sessions(self, assembled: batches.Assembled) -> None:
        key, stays = {"experiment_id": self._experiment.id}, assembled.open
        if len(assembled.ended):
            _DELETE_SESSIONS.run(self._connection, {**key, "keys": assembled.ended.tolist()})
        if not len(stays.key):
            return
        ends = np.cumsum(stays.counts) * batches.OUTCOME_BYTES
        outcomes = stays.outcomes.tobytes()
        starts = (ends - stays.counts * batches.OUTCOME_BYTES).tolist()
        stored = _UPSERT_SESSIONS.run(
            self._connection,
            {
                **key,
                "keys": stays.key.tolist(),
                "first_at": stays.first_at.tolist(),
                "last_at": stays.last_at.tolist(),
                "share": np.where(batches.are_compared(stays.arm, stays.share), stays.share, -1.0).tolist(),
                "arm": np.maximum(stays.arm, batches.CONTROL).tolist(),
                "is_folded": stays.is_folded.tolist(),
                "outcomes": [outcomes[start:end] for start, end in zip(starts, ends.tolist(), strict=True)],
            },
        )
        require_stored("experiment_sessions", written=len(stays.key), stored=stored)

    def _oldest_session(self, until: int) -> datetime | None:
        """Return when the oldest open session began; None: none is open.

        One that goes on for longer than its 20 outcomes can take is not waited for: the share of its first decision has had
        its outcomes. A name that a program uses for ever would otherwise stop the ramp.
        """
        began = to_time(until * self._minute - (batches.MOST_OUTCOMES + 1) * self._idle)
        values = {"experiment_id": self._experiment.id, "began": began}
        oldest: datetime | None = _OLDEST_SESSION.one(self._connection, values)
        return oldest

    def _count_late(self, since: int, until: int) -> int:
        return (
            self._late.advance(self._connection, self._experiment.id, self._minute, since, until)
            if until > since
            else 0
        )


def _facts(comparison: Comparison) -> Facts:
    """Return the facts of a canary. Time and cost are compared once an outcome has them; models that are free are not."""
    (facts,) = comparison.canary.facts()
    seen = [comparison.canary.rollback.totals[row, 0] > 0 for row in range(1, OF_CANARY)]
    return facts._replace(
        within_time=facts.within_time if seen[0] else None,
        within_cost=facts.within_cost if seen[1] else None,
        wins=(facts.wins[0], *(win for win, is_seen in zip(facts.wins[1:], seen, strict=True) if is_seen)),
    )
