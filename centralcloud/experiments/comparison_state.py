"""The evidence about one treatment, and its form as bytes: about 40 kB, however many outcomes it has seen.

The bytes are a format, the numbers in a fixed order, and the bad minutes. Their order and number follow from the plan of the
experiment, which never changes.
"""

import struct
from collections.abc import Sequence
from typing import Final

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.canary import CanaryPlan
from centralcloud.experiments.arrival_guard import ArrivalGuard
from centralcloud.experiments.bad_minutes import BadMinutes
from centralcloud.experiments.canary_evidence import CAPPED, SUCCESS, CanaryEvidence
from centralcloud.experiments.e_process import EProcess, Metric
from centralcloud.experiments.interval import UNKNOWN
from centralcloud.experiments.sample_ratio import SampleRatio
from centralcloud.runtime.arrays import Floats, Integers, np

#: The facts of a treatment that are not of one metric.
COMPARISON: Final = "comparison"
#: Metrics in their order, with that of a canary first: success, latency, cost.
METRICS: Final = ("success", "latency", "cost", "request_success", "slo", "arrived")
_KINDS: Final[Sequence[Metric]] = (SUCCESS, CAPPED, CAPPED, Metric(), Metric(), Metric())
#: Those that a canary decides on.
OF_CANARY: Final = 3
STRATA: Final = 3
#: Counts by arm, for people: requests, sessions that began, sessions folded, aborts by the client, requests without
#: an outcome in time, requests whose feedback is awaited for longer than outcomes are, and those that wait for feedback;
#: and of the requests that count nowhere, those of sessions that had ended, and those in an arm that they cannot have.
COUNTED: Final = (
    *("requests", "sessions", "folded_sessions", "aborts", "missing", "feedback_cut", "awaited"),
    *("returned", "mismatched"),
)
#: Classes of response times, of which each is 1/4 longer than the one before: from below 1 ms to above 20 min.
TIME_CLASSES: Final = 64
TIME_CLASS_GROWTH: Final = 1.25
#: More bad minutes are forgotten, the oldest first.
_MOST_BAD_MINUTES: Final = 1000
_FORMAT: Final = 1
_HEAD: Final = struct.Struct("<BII")


class ComparisonStateError(CentralCloudError):
    """The stored evidence cannot be read."""


class Comparison:
    """The evidence about one treatment against control.

    Attributes:
        canary: what a canary, or an A/B test, is decided on.
        arrival: the guard on feedback.
        intervals: of each metric, for the interval of the difference.
        sample_ratio: whether sessions are split as recorded.
        possible: (metrics, 2) the intersection of the intervals at the end of each window so far.
        usual: of control's minutes.
        bad_minutes: (N, 2) minutes in which an arm was out of order, and in which: 1 control, 2 treatment, 3 both.
        is_graded: whether a success has had a reward.
        counts: (2, len(COUNTED)) of control and treatment.
        sums: (2, metrics, 2) number and sum of the outcomes that were folded.
        times: (2, TIME_CLASSES) requests by response time.
    """

    def __init__(self, plan: CanaryPlan) -> None:
        """Create it without any evidence."""
        self.canary = CanaryEvidence(plan, SUCCESS, OF_CANARY - 1, strata=STRATA)
        self.arrival = ArrivalGuard(len(plan.shares), STRATA)
        self.intervals = EProcess(_KINDS, strata=STRATA)
        self.sample_ratio = SampleRatio()
        self.possible: Floats = np.tile(np.array([-UNKNOWN, UNKNOWN]), (len(METRICS), 1))
        self.usual = BadMinutes()
        self.bad_minutes: Integers = np.zeros((0, 2), dtype=np.int64)
        self.is_graded = False
        self.counts: Floats = np.zeros((2, len(COUNTED)))
        self.sums: Floats = np.zeros((2, len(METRICS), 2))
        self.times: Floats = np.zeros((2, TIME_CLASSES))

    def begin_step(self, step: int) -> None:
        """Begin the evidence for a roll back anew at a step, beside that of the steps before."""
        self.canary.begin_step(0, step)
        self.arrival.begin_step(step)

    def begin_again(self) -> None:
        """Begin again at the first step, without any evidence for a roll back."""
        self.canary.begin_again(0)
        self.arrival.begin_again()

    def count(self, name: str) -> tuple[int, int]:
        """Return one of the counts `COUNTED`, of control and of treatment."""
        control, treatment = self.counts[:, COUNTED.index(name)].tolist()
        return int(control), int(treatment)

    def expect_rewards(self) -> None:
        """Let a success be any number from 0 to 1 from now on. The prompt guard compares successes alone."""
        self.is_graded = True
        for process in (self.canary.promotion, self.canary.rollback, self.intervals):
            process.expect_rewards(0)

    def parts(self) -> list[Floats]:
        """Return its arrays, which may be filled with those of another one of the same plan."""
        return [
            *self.canary.parts(),
            *self.arrival.parts(),
            *self.intervals.parts(),
            self.sample_ratio.wealth,
            self.possible,
            self.counts,
            self.sums,
            self.times,
        ]

    def to_bytes(self) -> bytes:
        """Return it as bytes."""
        usual = np.array([*self.usual, self.is_graded], dtype=np.float64)
        numbers = np.concatenate([usual, *(part.ravel() for part in self.parts())]).astype("<f8")
        bad = self.bad_minutes[-_MOST_BAD_MINUTES:].astype("<i8")
        return _HEAD.pack(_FORMAT, len(numbers), len(bad)) + numbers.tobytes() + bad.tobytes()


def read_comparison(plan: CanaryPlan, state: bytes) -> Comparison:
    """Return the evidence in `state`, of an experiment with this plan.

    Raises:
        ComparisonStateError: it has another format or size, or holds something that is not a number.
    """
    if not state or state[0] != _FORMAT:
        newer = bool(state) and state[0] > _FORMAT
        found = f"format {state[0]}" if state else "no byte"
        what = "a newer version of CentralCloud has written it, run that one" if newer else "restore it from a backup"
        raise ComparisonStateError(f"experiment_comparisons.state: found {found}, expected format {_FORMAT}: {what}")
    found_comparison = Comparison(plan)
    parts = found_comparison.parts()
    expected = len(found_comparison.usual) + 1 + sum(part.size for part in parts)
    _, size, bad = _HEAD.unpack_from(state) if len(state) >= _HEAD.size else (0, -1, 0)
    length = _HEAD.size + 8 * (expected + 2 * bad)
    if size != expected or len(state) != length:
        raise ComparisonStateError(
            f"experiment_comparisons.state: found {len(state)} bytes with {size} numbers, expected {length} with "
            f"{expected}: restore it from a backup"
        )
    numbers = np.frombuffer(state, "<f8", expected, _HEAD.size)
    if np.isnan(numbers).any():
        raise ComparisonStateError(
            "experiment_comparisons.state: found NaN, expected numbers: restore it from a backup"
        )
    place = len(found_comparison.usual) + 1
    found_comparison.usual = BadMinutes(*(int(each) for each in numbers[: place - 1]))
    if numbers[place - 1]:
        found_comparison.expect_rewards()
    for part in parts:
        part[...] = numbers[place : place + part.size].reshape(part.shape)
        place += part.size
    found_comparison.bad_minutes = np.frombuffer(state, "<i8", 2 * bad, length - 16 * bad).reshape(bad, 2).copy()
    return found_comparison
