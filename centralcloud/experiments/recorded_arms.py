"""Whether the arm and the share that an event has can be those of its session. Pure, and vectorised.

An arm follows from the session's name, and a share from the steps of the experiment: an event that claims another one was
made by mistake or on purpose, and a few of them would be taken for a broken split.
"""

from itertools import pairwise
from typing import Final

from centralcloud.contracts.experiment_arms import Split, assign
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.session_batches import CONTROL
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np

_BITS: Final = 53
_UNUSED_BITS: Final = 64 - _BITS
#: A position in control, whatever the share.
_LAST: Final = 1 - 2.0**-_BITS
_NEARLY: Final = 1e-9


def splits_of(experiment: Experiment) -> list[Split]:
    """Return every split that the experiment can have had so far: each step, and the way from each to the next one."""
    stage, treatments = experiment.stage, len(experiment.treatments)
    shares = sorted({*experiment.shares, *([stage.share] if stage.share else [])})
    ways = list(pairwise(shares))
    if stage.before and stage.share:
        ways.append((stage.before, stage.share))
    return [*(Split(treatments, share) for share in shares), *(Split(treatments, new, old) for old, new in ways)]


def are_possible(
    splits: list[Split], draw: Integers, named: Booleans, arm: Integers, share: Floats, treatments: int
) -> Booleans:
    """Return which records have an arm and a share that one of the splits gives to their sessions.

    Args:
        splits: from `splits_of`.
        draw: the first 64 bits of the hash of the session's name, with the sign of the first one.
        named: whether there is a name; without one, any arm is possible.
        arm, share: as in `session_batches.Decisions`; those without a share are possible.
        treatments: how many the experiment has.
    """
    position = (draw.astype(np.int64).view(np.uint64) >> np.uint64(_UNUSED_BITS)) / float(1 << _BITS)
    number = np.minimum((position * treatments).astype(np.int64), treatments - 1)
    offset = position - number / treatments
    found: Booleans = np.isnan(share) | (arm < CONTROL)
    for split in splits:
        weight = assign(_LAST, split).share
        if weight is None:
            continue
        given = split.share if split.before is None else min(split.before, split.share)
        moved_until = given if split.before is None else max(split.before, split.share)
        drawn = np.where(offset < given, arm == number, (arm == CONTROL) & (offset >= moved_until))
        found |= (np.abs(share - weight) <= _NEARLY) & (drawn | ~named)
    return found
