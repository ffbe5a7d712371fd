"""From decisions to sessions that are folded, a batch of decisions at a time. Pure, and vectorised.

A session is folded at its 20th outcome, or when it has been idle, at the end of that minute of decision time. This follows
from the decisions alone: the same decisions give the same sessions in the same order, however they are divided into batches.

A session that has ended does not begin again when its name returns: its arm was drawn once, so that what it does later is
not another draw.
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
        is_folded: it has had 20 outcomes, or has ended.
        has_ended: it was idle once: what its name does later counts nowhere.
        counts: its outcomes that are stored.
        outcomes: those of all sessions, one after the other.
    """

    key: Integers
    first_at: Integers
    last_at: Integers
    arm: Integers
    share: Floats
    is_folded: Booleans
    has_ended: Booleans
    counts: Integers
    outcomes: "np.ndarray"

    @property
    def is_prompt(self) -> Booleans:
        """Whether the prompt guard alone knows it: its times are those of an outcome that may come after a gap."""
        found: Booleans = are_compared(self.arm, self.share) & (self.counts == 0) & ~self.is_folded & ~self.has_ended
        return found


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
        changed: sessions to remember: those that go on, and those that have ended in this batch.
        begun: (decisions) whether it is the first one of a compared session.
        returned: (decisions) whether its session had ended before.
    """

    folded: FoldedSessions
    changed: OpenSessions
    begun: Booleans
    returned: Booleans


def outcome_type() -> "np.dtype":
    """Return the type of a record: its minute, stratum (0 to 2), flags, and x.

    `ms` and `cost` are the time and the cost (USD) of the whole request; -1: left out.
    """
    return np.dtype(list(_FIELDS))


def assemble(decisions: Decisions, known: OpenSessions, clock: Clock) -> Assembled:
    """Add decisions to the sessions that are open.

    Args:
        decisions: of the batch, by time.
        known: at least the sessions of these decisions, and the open ones that are idle by the end of the batch.
        clock: of the plan.
    """
    parts = _stretches(decisions, known, clock.idle)
    ends = _ends(parts, clock)
    goes_on = np.zeros(len(known.key), dtype=bool)
    goes_on[parts.old[parts.goes_on]] = True
    is_idle = _minute_of_end(known.last_at + clock.idle, clock.minute) < clock.minutes
    known_over = ~goes_on & ~known.has_ended & is_idle
    # A session without an outcome is known from the prompt guard alone: its decision came after its time was folded.
    known_folds = known_over & ~known.is_folded & are_compared(known.arm, known.share) & (known.counts > 0)
    begun = decisions.alone & are_compared(decisions.arm, decisions.share)
    begun[parts.rows[ends.begins]] = True
    returned = np.zeros(len(decisions.key), dtype=bool)
    returned[parts.returned] = True
    return Assembled(_folded(parts, ends, known_folds, clock), _changed(parts, ends, known_over), begun, returned)


class _Stretches(NamedTuple):
    """Stretches of decisions, each of one session without a gap of the idle time; there are N of them.

    Attributes:
        returned: decisions of sessions that had ended: they are in no stretch.
        rows: the decisions of all of them, by session and time.
        number: of the stretch of each row.
        heads: (N,) the first rows.
        goes_on: (N,) whether it continues an open session.
        old: (N,) the place of that session.
    """

    decisions: Decisions
    known: OpenSessions
    returned: Integers
    rows: Integers
    number: Integers
    heads: Integers
    goes_on: Booleans
    old: Integers

    def of_old(self, values: "np.ndarray", otherwise: "np.ndarray") -> "np.ndarray":
        """Return (N,) a value of the session that goes on, else another one."""
        return np.where(self.goes_on, values[self.old], otherwise) if len(self.known.key) else otherwise


class _Ends(NamedTuple):
    """How N stretches end.

    Attributes:
        compared: whether the session has an arm and a share.
        folds, minute: whether the session is complete, and the minute at whose end it is folded.
        is_over: it is idle by the end of the batch.
        is_folded: it has had its 20 outcomes.
        collects: its outcomes are kept for the fold that is to come.
        first_at, last_at, arm, share: of the session.
        kept: (rows) whether a decision is one of the first 20 of its session, and of its arm and share.
        begins: (rows) whether it is the first one.
    """

    compared: Booleans
    folds: Booleans
    minute: Integers
    is_over: Booleans
    is_folded: Booleans
    collects: Booleans
    first_at: Integers
    last_at: Integers
    arm: Integers
    share: Floats
    kept: Booleans
    begins: Booleans


def _stretches(decisions: Decisions, known: OpenSessions, idle: int) -> _Stretches:
    among = np.flatnonzero(~decisions.alone)
    rows = among[np.argsort(decisions.key[among], kind="stable")]
    key, at = decisions.key[rows], decisions.at[rows]
    is_first = np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]
    place = np.minimum(np.searchsorted(known.key, key), max(len(known.key) - 1, 0))
    before = np.where(is_first, np.iinfo(np.int64).min // 2, np.concatenate([[0], at[:-1]])[: len(at)])
    is_known = has_ended = np.zeros(len(key), dtype=bool)
    if len(known.key):
        is_known = known.key[place] == key
        has_ended = is_known & known.has_ended[place]
        promptly = known.is_prompt[place]
        last_at = np.where(promptly, np.minimum(known.last_at[place], at), known.last_at[place])
        before = np.where(is_known & (is_first | ~promptly), np.maximum(before, last_at), before)
    begins = (at - before >= idle) | (is_first & has_ended)
    starts = begins | is_first
    # After its first stretch a session has ended.
    is_return = (begins & (is_known | ~is_first))[starts][np.cumsum(starts) - 1]
    starts, begins, place = starts[~is_return], begins[~is_return], place[~is_return]
    heads, number = np.flatnonzero(starts), np.cumsum(starts) - 1
    return _Stretches(decisions, known, rows[is_return], rows[~is_return], number, heads, ~begins[heads], place[heads])


def _ends(parts: _Stretches, clock: Clock) -> _Ends:
    decisions, known, rows, number, heads = parts.decisions, parts.known, parts.rows, parts.number, parts.heads
    at, size = decisions.at[rows], len(heads)
    # The prompt guard stores a session at its first outcome: a decision before that one is the first of the session.
    is_first = at[heads] < parts.of_old(known.first_at, at[heads])
    arm = np.where(is_first, decisions.arm[rows[heads]], parts.of_old(known.arm, decisions.arm[rows[heads]]))
    share = np.where(is_first, decisions.share[rows[heads]], parts.of_old(known.share, decisions.share[rows[heads]]))
    was_folded = parts.of_old(known.is_folded, np.zeros(size, dtype=bool))
    had = parts.of_old(known.counts, np.zeros(size, dtype=np.int64))
    compared = are_compared(arm, share)
    fits = (decisions.arm[rows] == arm[number]) & (decisions.share[rows] == share[number])
    fits &= compared[number] & ~was_folded[number]
    so_far = np.cumsum(fits)
    rank = so_far - (so_far[heads] - fits[heads])[number] + had[number]
    full_at = np.full(size, -1, dtype=np.int64)
    twentieth = np.flatnonzero(fits & (rank == MOST_OUTCOMES))
    full_at[number[twentieth]] = at[twentieth]
    last_rows = np.concatenate([heads[1:], [len(rows)]])[:size] - 1
    is_prompt = parts.of_old(known.is_prompt, np.zeros(size, dtype=bool))
    last_at = np.maximum(at[last_rows], np.where(is_prompt, at[last_rows], parts.of_old(known.last_at, at[last_rows])))
    idle_in = _minute_of_end(last_at + clock.idle, clock.minute)
    is_full, is_over = full_at >= 0, idle_in < clock.minutes
    return _Ends(
        compared=compared,
        folds=compared & ~was_folded & (is_full | is_over),
        minute=np.where(is_full, full_at // clock.minute, idle_in),
        is_over=is_over,
        is_folded=was_folded | is_full,
        collects=compared & ~was_folded & ~is_full,
        first_at=np.minimum(at[heads], parts.of_old(known.first_at, at[heads])),
        last_at=last_at,
        arm=arm,
        share=share,
        kept=fits & (rank <= MOST_OUTCOMES),
        begins=fits & (rank == 1),
    )


def _folded(parts: _Stretches, ends: _Ends, known_folds: Booleans, clock: Clock) -> FoldedSessions:
    """Return the complete sessions: those that were open and are over, those of stretches, those of one decision."""
    decisions, known, stretch_of = parts.decisions, parts.known, _stretch_of_stored(parts)
    old = np.flatnonzero(known_folds)
    new = np.flatnonzero(ends.folds)
    alone = np.flatnonzero(decisions.alone & are_compared(decisions.arm, decisions.share))
    session_of = np.repeat(np.arange(len(known.key)), known.counts)
    stored = np.flatnonzero(known_folds[session_of])
    going_on = np.flatnonzero((stretch_of >= 0) & _taken(ends.folds, stretch_of))
    fresh = np.flatnonzero(ends.kept & ends.folds[parts.number])
    place = _places(ends.folds) + len(old)
    of = np.concatenate(
        [
            _places(known_folds)[session_of[stored]],
            place[stretch_of[going_on]],
            place[parts.number[fresh]],
            len(old) + len(new) + np.arange(len(alone)),
        ]
    )
    outcomes = np.concatenate(
        [
            known.outcomes[stored],
            known.outcomes[going_on],
            decisions.outcomes[parts.rows[fresh]],
            decisions.outcomes[alone],
        ]
    )
    minute = np.concatenate(
        [
            _minute_of_end(known.last_at[old] + clock.idle, clock.minute),
            ends.minute[new],
            decisions.at[alone] // clock.minute,
        ]
    )
    key = np.concatenate([known.key[old], decisions.key[parts.rows[parts.heads[new]]], decisions.key[alone]])
    first_at = np.concatenate([known.first_at[old], ends.first_at[new], decisions.at[alone]])
    order = np.lexsort([first_at, key, minute])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    by_session = np.argsort(rank[of], kind="stable")  # the stored outcomes of a session stay before the fresh ones
    return FoldedSessions(
        minute[order],
        np.concatenate([known.arm[old], ends.arm[new], decisions.arm[alone]])[order],
        np.concatenate([known.share[old], ends.share[new], decisions.share[alone]])[order],
        rank[of][by_session],
        outcomes[by_session],
    )


def _changed(parts: _Stretches, ends: _Ends, known_over: Booleans) -> OpenSessions:
    """Return the sessions to remember: those of stretches, with outcomes until they are folded, and those that ended."""
    decisions, known, stretch_of = parts.decisions, parts.known, _stretch_of_stored(parts)
    collects = ends.collects & ~ends.is_over
    stored = np.flatnonzero((stretch_of >= 0) & _taken(collects, stretch_of))
    fresh = np.flatnonzero(ends.kept & collects[parts.number])
    of = np.concatenate([stretch_of[stored], parts.number[fresh]])
    outcomes = np.concatenate([known.outcomes[stored], decisions.outcomes[parts.rows[fresh]]])
    old, size = np.flatnonzero(known_over), len(parts.heads)
    ended = np.concatenate([ends.is_over, np.ones(len(old), dtype=bool)])
    share = np.concatenate([ends.share, known.share[old]])
    return OpenSessions(
        np.concatenate([decisions.key[parts.rows[parts.heads]], known.key[old]]),
        np.concatenate([ends.first_at, known.first_at[old]]),
        np.concatenate([ends.last_at, known.last_at[old]]),
        np.where(ended, CONTROL, np.concatenate([ends.arm, known.arm[old]])),
        np.where(ended, np.nan, share),
        np.concatenate([ends.is_folded, known.is_folded[old]]) | ended,
        ended,
        np.bincount(of, minlength=size + len(old)).astype(np.int64),
        outcomes[np.argsort(of, kind="stable")],
    )


def _stretch_of_stored(parts: _Stretches) -> Integers:
    """Return for each stored outcome the stretch that its session goes on with; -1: none."""
    stretch = np.full(len(parts.known.key), -1, dtype=np.int64)
    stretch[parts.old[parts.goes_on]] = np.flatnonzero(parts.goes_on)
    found: Integers = np.repeat(stretch, parts.known.counts)
    return found


def are_compared(arm: Integers, share: Floats) -> Booleans:
    """Return which sessions are compared: those with a share, in an arm that the experiment has."""
    found: Booleans = ~np.isnan(share) & (arm >= CONTROL)
    return found


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
