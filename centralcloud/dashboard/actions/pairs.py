"""The pair that an action concerns, and its score as it stands."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.administration.score_overrides import find_pair, read_freeze
from centralcloud.contracts import COMPLEXITIES
from centralcloud.contracts.errors import quote
from centralcloud.dashboard.actions.action import Scene
from centralcloud.dashboard.actions.forms import Form
from centralcloud.dashboard.actions.reach import at
from centralcloud.dashboard.web.formats import score as two_decimals
from centralcloud.dashboard.web.page import PageError
from centralcloud.learning.current_scores import CurrentScore, UnknownPairError, read_current_scores
from centralcloud.learning.evidence import Pair
from centralcloud.runtime.postgres.query import Query


class Pin(NamedTuple):
    """A pin that holds. `until`: None: until it is unpinned."""

    score: float
    until: datetime | None


class PairState(NamedTuple):
    """A pair as it stands.

    Attributes:
        others: the scores of the other models for the same complexity that are not retired.
    """

    current: CurrentScore
    pin: Pin | None
    is_frozen: bool
    others: tuple[float, ...]


_READ_PIN = Query(__package__, "read_pin", row=Pin)
SUBJECT: Final = ("model", "complexity")


def pair_of(form: Form) -> Pair:
    """Return the pair that a form names.

    Raises:
        PageError: it names none.
    """
    model, complexity = form.get("model", ""), form.get("complexity", "")
    if not model or "\0" in model or complexity not in COMPLEXITIES:
        raise PageError(
            404,
            "No such pair",
            f"Found model {quote(model)} and complexity {quote(complexity)}, expected a model, and one of "
            f"{', '.join(COMPLEXITIES)}.",
            command="centralcloud metrics",
        )
    return model, complexity


def read_pair(connection: psycopg.Connection[Any], pair: Pair) -> PairState:
    """Read a pair as it stands.

    Raises:
        PageError: there is no such pair.
    """
    try:
        current = find_pair(connection, pair)
    except UnknownPairError as error:
        raise PageError(404, "No such pair", f"{error}.", command="centralcloud metrics") from None
    pin = _READ_PIN.maybe(connection, {"model": pair[0], "complexity": pair[1]})
    others = tuple(
        float(each.old_score)
        for each in read_current_scores(connection)
        if each.complexity == pair[1] and each.model != pair[0] and each.retired_at is None
    )
    return PairState(current, pin, read_freeze(connection) is not None, others)


def tasks(pair: Pair) -> str:
    """Return a pair in words: "ember-reason for complex tasks"."""
    return f"{pair[0]} for {pair[1]} tasks"


def sentences(state: PairState, scene: Scene) -> list[str]:
    """Say what stands for a pair."""
    current, found = state.current, []
    if current.version is None:
        found.append(f"No score was published for it yet; instances report {two_decimals(current.old_score)}.")
    else:
        found.append(f"Its score is {two_decimals(current.old_score)}, version {current.version:,}{rank(state, None)}.")
    if state.pin is not None:
        found.append(f"It is pinned at {two_decimals(state.pin.score)} {until(state.pin.until, scene)}.")
    if current.held_after_slice is not None:
        found.append("It is held after a rollback, until 50 new outcomes have arrived.")
    if current.retired_at is not None:
        found.append(f"The model is retired since {at(current.retired_at, scene.zone)}.")
    if state.is_frozen:
        found.append("Learning is frozen: no learned score is published.")
    return found


def until(end: datetime | None, scene: Scene) -> str:
    """Say until when a pin holds."""
    return f"until {at(end, scene.zone)}" if end else "until it is unpinned"


def rank(state: PairState, score: float | None) -> str:
    """Say which place a score has among those of all models, or would have; empty without other models."""
    if not state.others:
        return ""
    value = float(state.current.old_score) if score is None else score
    return f", place {1 + sum(each > value for each in state.others)} of {1 + len(state.others)}"
