"""The ids of the messages that left the queue, as ranges: neighbours cost one range, however many they are."""

from collections.abc import Iterable, Sequence
from itertools import pairwise


def ranges_of(ids: Iterable[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the first and the last id of every run of neighbours, in ascending order."""
    ordered = sorted(ids)
    if not ordered:
        return [], []
    if ordered[-1] - ordered[0] == len(ordered) - 1:  # a batch, most of the time
        return [ordered[0]], [ordered[-1]]
    firsts, lasts = [ordered[0]], []
    for before, after in pairwise(ordered):
        if after > before + 1:
            lasts.append(before)
            firsts.append(after)
    return firsts, [*lasts, ordered[-1]]
