"""Arms of experiments: which arm of an experiment a session belongs to. Pure, and the same in every replica.

A replica needs no memory of sessions for it: the arm follows from the session's name. Two experiments split sessions
independently, as each has a salt of its own.
"""

import hashlib
from typing import Final, NamedTuple

_BITS: Final = 53
_POSITIONS: Final = float(1 << _BITS)


class Split(NamedTuple):
    """How the sessions of an experiment are split.

    Attributes:
        treatments: how many arms are compared with control, at least 1.
        share: of each of them, 0 to 1 / `treatments`; control has the rest.
        before: the share until a step of the ramp, while sessions from that time may be open; None: none are.
    """

    treatments: int
    share: float
    before: float | None = None


class Assignment(NamedTuple):
    """The arm of a session.

    Attributes:
        treatment: the number of its treatment, from 0; None: control.
        share: the probability of treatment among this treatment and control, above 0 and below 1, with which the session is
            weighed; None: its outcomes are not compared.
    """

    treatment: int | None
    share: float | None


def position_of(experiment: str, salt: str, session: str) -> float:
    """Return the position of a session, from 0 to below 1, uniform over sessions.

    The first 53 bits of SHA-256 of the three in UTF-8, separated by line feeds.
    """
    digest = hashlib.sha256(f"{experiment}\n{salt}\n{session}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / _POSITIONS


def assign(position: float, split: Split) -> Assignment:
    """Return the arm of a session at a position.

    Treatment k of K has the positions from k / K to k / K + share. After a step to a larger share the sessions between the
    old and the new one stay with control, and are not compared: some of them may have begun before. The rest are weighed by
    the odds that were left to them. So a step moves no session that is compared.
    """
    treatments, share, before = split
    number = min(int(position * treatments), treatments - 1)
    offset = position - number / treatments
    given = share if before is None else min(before, share)
    control = 1 - treatments * (share if before is None else max(before, share))
    weight = given / (given + control) if given > 0 and control > 0 else None
    if offset < given:
        return Assignment(number, weight)
    if before is not None and offset < max(before, share):
        return Assignment(None, None)
    return Assignment(None, weight)
