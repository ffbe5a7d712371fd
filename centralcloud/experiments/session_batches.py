"""From decisions to sessions that are folded, a batch of decisions at a time. Pure, and vectorised.

A session is folded at its 20th outcome, or when it has been idle, at the end of that minute of decision time. This follows
from the decisions alone: the same decisions give the same sessions in the same order, however they are divided into batches.
"""

from typing import Final, NamedTuple

from centralcloud.runtime.arrays import Booleans, Floats, Integers, np

#: A session is folded with so many outcomes; later ones are left out.
MOST_OUTCOMES: Final = 20
#: The arm of control, and one that the experiment does not have. Treatments have their numbers.
CONTROL: Final = -1
UNKNOWN: Final = -2
#: Flags of an outcome. It counts for success; the request as a whole counts; it has succeeded; the outcome has a reward.
ARRIVED: Final = 1
COUNTS: Final = 2
REQUEST_COUNTS: Final = 4
REQUEST_SUCCEEDED: Final = 8
REWARDED: Final = 16
_FIELDS: Final = (
    ("minute", "<i8"),
    ("stratum", "u1"),
    ("flags", "u1"),
    ("x", "<f8"),
    ("ms", "<f8"),
    ("cost", "<f8"),
)
#: Bytes of an outcome in experiment_sessions.
OUTCOME_BYTES: Final = 34


class Clock(NamedTuple):
    """Lengths and the end of a batch, in microseconds of decision time.

    Attributes:
        minute: of a "minute", a tenth of a window.
        idle: a session without a decision for so long has ended.
        until: decisions before are in this batch, or were in an earlier one; a whole number of minutes.
    """

    minute: int
    idle: int
    until: int

    @property
    def minutes(self) -> int:
        """The number of the first minute that is not over."""
        return self.until // self.minute


class Decisions(NamedTuple):
    """Decisions in their order, each with what is known of its outcome.

    Attributes:
        key: of its session.
        at: when, in microseconds since 1970.
        alone: whether its session has no other one.
        arm: `CONTROL`, `UNKNOWN`, or the number of a treatment.
        share: the probability of treatment among the two arms; NaN: not compared.
        outcomes: records of `outcome_type`.
    """

    key: Integers
    at: Integers
    alone: Booleans
    arm: Integers
    share: Floats
    outcomes: "np.ndarray"


class OpenSessions(NamedTuple):
    """Sessions that may go on, in the order of their keys. Times and arms as in `Decisions`.

    Attributes:
        is_folded: it has had 20 outcomes.
        counts: its outcomes that are stored.
        outcomes: those of all sessions, one after the other.
    """

    key: Integers
    first_at: Integers
    last_at: Integers
    arm: Integers
    share: Floats
    is_folded: Booleans
    counts: Integers
    outcomes: "np.ndarray"


class FoldedSessions(NamedTuple):
    """Sessions in the order in which they are folded.

    Attributes:
        minute: at the end of which it is folded.
        arm, share: of its first decision.
        outcome_of: the place of the session of each outcome, ascending.
        outcomes: records of `outcome_type`.
    """

    minute: Integers
    arm: Integers
    share: Floats
    outcome_of: Integers
    outcomes: "np.ndarray"


class Assembled(NamedTuple):
    """The result of a batch.

    Attributes:
        folded: sessions that are complete.
        open: those that go on, new or changed.
        ended: keys of open sessions that are over.
        begun: (decisions) whether it is the first one of a compared session.
    """

    folded: FoldedSessions
    open: OpenSessions
    ended: Integers
    begun: Booleans


def outcome_type() -> "np.dtype":
    """Return the type of a record: its minute, stratum (0 to 2), flags, and x.

    `ms` and `cost` are the time and the cost (USD) of the whole request; -1: left out.
    """
    return np.dtype(list(_FIELDS))


def assemble(decisions: Decisions, known: OpenSessions, clock: Clock) -> Assembled:
    """Add decisions to the sessions that are open.

    Args:
        decisions: of the batch, by time.
        known: at least the open sessions of these decisions, and those that are idle by the end of the batch.
        clock: of the plan.
    """
    among = np.flatnonzero(~decisions.alone)
    rows = among[np.argsort(decisions.key[among], kind="stable")]
    key, at = decisions.key[rows], decisions.at[rows]
    is_first = np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]
    place = np.minimum(np.searchsorted(known.key, key), max(len(known.key) - 1, 0))
    is_known = known.key[place] == key if len(known.key) else np.zeros(len(key), dtype=bool)
    before = np.concatenate([[0], at[:-1]])[: len(at)]
    before = np.where(is_first, np.iinfo(np.int64).min // 2, before)
    if len(known.key):
        before = np.maximum(before, np.where(is_known, known.last_at[place], before))
    begins = at - before >= clock.idle
    heads = np.flatnonzero(begins | is_first)
    number = np.cumsum(begins | is_first) - 1
    goes_on = ~begins[heads]
    old = place[heads]
    parts = _Parts(decisions, known, rows, number, heads, goes_on, old)
    return _close(parts, clock)


class _Parts(NamedTuple):
    """Stretches of decisions of one session: `heads` are their first places among `rows`, `old` the sessions before."""

    decisions: Decisions
    known: OpenSessions
    rows: Integers
    number: Integers
    heads: Integers
    goes_on: Booleans
    old: Integers

    def of_old(self, values: "np.ndarray", otherwise: "np.ndarray") -> "np.ndarray":
        """Return a value of the session that goes on, else another one."""
        return np.where(self.goes_on, values[self.old], otherwise) if len(self.known.key) else otherwise


def _close(parts: _Parts, clock: Clock) -> Assembled:
    decisions, known, rows, number, heads = parts.decisions, parts.known, parts.rows, parts.number, parts.heads
    at, size = decisions.at[rows], len(heads)
    arm = parts.of_old(known.arm, decisions.arm[rows[heads]])
    share = parts.of_old(known.share, decisions.share[rows[heads]])
    was_folded = parts.of_old(known.is_folded, np.zeros(size, dtype=bool))
    had = parts.of_old(known.counts, np.zeros(size, dtype=np.int64))
    compared = ~np.isnan(share) & (arm >= CONTROL)
    fits = (decisions.arm[rows] == arm[number]) & (decisions.share[rows] == share[number]) & compared[number]
    fits &= ~was_folded[number]
    so_far = np.cumsum(fits)
    rank = so_far - (so_far[heads] - fits[heads])[number] + had[number] if size else so_far
    kept = fits & (rank <= MOST_OUTCOMES)
    full_at = np.full(size, -1, dtype=np.int64)
    twentieth = np.flatnonzero(fits & (rank == MOST_OUTCOMES))
    full_at[number[twentieth]] = at[twentieth]
    lasts = np.concatenate([heads[1:], [len(rows)]])[:size] - 1
    last_at = np.maximum(at[lasts], parts.of_old(known.last_at, at[lasts]))
    first_at = np.minimum(at[heads], parts.of_old(known.first_at, at[heads]))
    idle_in = _minute_of_end(last_at + clock.idle, clock.minute)
    is_full, is_over = full_at >= 0, idle_in < clock.minutes
    folds = compared & ~was_folded & (is_full | is_over)
    folded_in = np.where(is_full, full_at // clock.minute, idle_in)

    touched = np.zeros(len(known.key), dtype=bool)
    touched[parts.old[parts.goes_on]] = True
    known_idle = _minute_of_end(known.last_at + clock.idle, clock.minute)
    known_over = ~touched & (known_idle < clock.minutes)
    known_folds = known_over & ~known.is_folded & ~np.isnan(known.share) & (known.arm >= CONTROL)
    alone = np.flatnonzero(decisions.alone & ~np.isnan(decisions.share) & (decisions.arm >= CONTROL))

    # Sessions of three kinds, each with its outcomes: known ones that are over, those of this batch, those of one decision.
    known_sessions, sessions = np.flatnonzero(known_folds), np.flatnonzero(folds)
    stored_of = np.repeat(np.arange(len(known.key)), known.counts)
    number_of_old = np.full(len(known.key), -1, dtype=np.int64)
    number_of_old[parts.old[parts.goes_on]] = np.flatnonzero(parts.goes_on)
    offset, alone_offset = len(known_sessions), len(known_sessions) + len(sessions)
    place_known, place = _places(known_folds), _places(folds)
    stored_known = np.flatnonzero(known_folds[stored_of])
    stored_on = np.flatnonzero((number_of_old[stored_of] >= 0) & _taken(folds, number_of_old[stored_of]))
    new = np.flatnonzero(kept & folds[number])
    outcome_of = np.concatenate(
        [
            place_known[stored_of[stored_known]],
            offset + place[number_of_old[stored_of[stored_on]]],
            offset + place[number[new]],
            alone_offset + np.arange(len(alone)),
        ]
    )
    outcomes = np.concatenate(
        [
            known.outcomes[stored_known],
            known.outcomes[stored_on],
            decisions.outcomes[rows[new]],
            decisions.outcomes[alone],
        ]
    )
    keys = np.concatenate([known.key[known_sessions], decisions.key[rows[heads[sessions]]], decisions.key[alone]])
    begun_at = np.concatenate([known.first_at[known_sessions], first_at[sessions], decisions.at[alone]])
    minutes = np.concatenate([known_idle[known_sessions], folded_in[sessions], decisions.at[alone] // clock.minute])
    order = np.lexsort([begun_at, keys, minutes])
    rank_of = np.empty(len(order), dtype=np.int64)
    rank_of[order] = np.arange(len(order))
    by_session = np.argsort(rank_of[outcome_of], kind="stable")
    folded = FoldedSessions(
        minutes[order],
        np.concatenate([known.arm[known_sessions], arm[sessions], decisions.arm[alone]])[order],
        np.concatenate([known.share[known_sessions], share[sessions], decisions.share[alone]])[order],
        rank_of[outcome_of][by_session],
        outcomes[by_session],
    )

    # Sessions that go on keep their outcomes until they are folded.
    stays = np.flatnonzero(~is_over)
    collects = compared & ~was_folded & ~is_full
    stays_with = ~is_over & collects
    kept_old = np.flatnonzero((number_of_old[stored_of] >= 0) & _taken(stays_with, number_of_old[stored_of]))
    kept_new = np.flatnonzero(kept & stays_with[number])
    place_open = _places(~is_over)
    open_of = np.concatenate([place_open[number_of_old[stored_of[kept_old]]], place_open[number[kept_new]]])
    open_outcomes = np.concatenate([known.outcomes[kept_old], decisions.outcomes[rows[kept_new]]])
    by_open = np.argsort(open_of, kind="stable")
    remain = OpenSessions(
        decisions.key[rows[heads[stays]]],
        first_at[stays],
        last_at[stays],
        arm[stays],
        share[stays],
        (was_folded | is_full)[stays],
        np.bincount(open_of, minlength=len(stays)).astype(np.int64),
        open_outcomes[by_open],
    )
    ended = np.concatenate([known.key[known_over], known.key[parts.old[parts.goes_on & is_over]]])
    begun = np.zeros(len(decisions.key), dtype=bool)
    begun[rows[fits & (rank == 1)]] = True
    begun[alone] = True
    return Assembled(folded, remain, ended, begun)


def _minute_of_end(at: Integers, minute: int) -> Integers:
    """Return the minute at whose end a moment is over."""
    found: Integers = -(-at // minute) - 1
    return found


def _places(chosen: Booleans) -> Integers:
    """Return the place of each chosen one among the chosen."""
    places: Integers = np.cumsum(chosen) - 1
    return places


def _taken(chosen: Booleans, places: Integers) -> Booleans:
    """Return which places are chosen; of a place before the first one anything."""
    found: Booleans = chosen[places] if len(chosen) else np.zeros(len(places), dtype=bool)
    return found
