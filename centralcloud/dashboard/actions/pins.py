"""Pin the score of a pair, and remove a pin."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from centralcloud.administration import score_overrides
from centralcloud.dashboard.actions.action import Action, Done, Field, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form, Problems, read_end, read_score, read_version
from centralcloud.dashboard.actions.pairs import (
    SUBJECT,
    PairState,
    pair_of,
    rank,
    read_pair,
    sentences,
    tasks,
    until,
)
from centralcloud.dashboard.actions.reach import instances_that_follow, traffic_of_pair
from centralcloud.dashboard.pages.addresses import action_url
from centralcloud.dashboard.web.formats import score as two_decimals
from centralcloud.store.operator_actions import Operator

_DEFAULT_HOURS: Final = "24"
_LASTS: Final = (
    ("1", "1 hour"),
    ("4", "4 hours"),
    (_DEFAULT_HOURS, "24 hours"),
    ("72", "3 days"),
    ("168", "7 days"),
    ("", "until it is unpinned"),
)


class PinAction(Action):
    """Pin a score."""

    name = "pin"
    title = "Pin the score"
    fields: Sequence[Field] = (
        Field("score", "Score", "number", "0 to 5, at most three decimal places"),
        Field("lasts", "For how long", "choice", options=_LASTS, default=_DEFAULT_HOURS),
        Field("until", "Or until exactly", "time", "counts instead of the choice above"),
    )
    subject: Sequence[str] = SUBJECT

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return what stands for the pair, and what the score of the form would be among the others."""
        pair = pair_of(form)
        with scene.operators.transaction() as connection:
            state = read_pair(connection, pair)
        retired = state.current.retired_at is not None
        return Preview(
            question=f"Pin {tasks(pair)}?",
            now=sentences(state, scene),
            then=_then(scene, form, state),
            effects=(instances_that_follow(scene.snapshot), traffic_of_pair(scene.snapshot, pair)),
            seen=str(state.current.version or 0),
            obstacle=f"{pair[0]} is retired: no score of it counts, until it is reinstated." if retired else None,
            defaults={"score": f"{state.current.old_score:.3f}".rstrip("0").rstrip(".")},
        )

    def check(self, scene: Scene, form: Form, problems: Problems) -> None:
        """Note the problems of the score and the time."""
        problems.read("score", lambda: read_score(form.get("score", "")))
        problems.read("until" if form.get("until") else "lasts", lambda: _end(form, scene.zone, scene.now))

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Pin the pair."""
        pair, end = pair_of(form), _end(form, scene.zone, scene.now)
        score, version = read_score(form.get("score", "")), read_version(seen)
        change = score_overrides.pin(scene.operators, pair, score, end, operator, expected_version=version)
        return Done(
            f"Pinned {tasks(pair)} at {two_decimals(change.new_score)} {until(end, scene)}.",
            "Unpin it",
            action_url("unpin", model=pair[0], complexity=pair[1]),
        )

    def command(self, form: Form) -> str:
        """Return `centralcloud scores pin` with the values of the form; without a pin's time it lasts a day."""
        model, complexity = form.get("model", ""), form.get("complexity", "")
        options = [why(form.get("reason", ""))]
        now = datetime.now(UTC)
        try:
            end = _end(form, ZoneInfo(form.get("zone") or "UTC"), now)
        except ValueError:
            end = now + timedelta(hours=24)
        if end is not None:
            options.insert(0, ("--until", f"{end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"))
        try:
            score = str(read_score(form.get("score", "")))
        except ValueError:
            score = "SCORE"
        return command("scores", "pin", options=options, arguments=(model, complexity, score))


class UnpinAction(Action):
    """Remove a pin."""

    name = "unpin"
    title = "Remove the pin"
    subject: Sequence[str] = SUBJECT

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return what stands for the pair."""
        pair = pair_of(form)
        with scene.operators.transaction() as connection:
            state = read_pair(connection, pair)
        frozen = " Learning is frozen, so that is after it is published again." if state.is_frozen else ""
        return Preview(
            question=f"Remove the pin of {tasks(pair)}?",
            now=sentences(state, scene),
            then=(
                f"The next run of the learner publishes the score of its rule; until then it keeps its score.{frozen}",
            ),
            effects=(instances_that_follow(scene.snapshot), traffic_of_pair(scene.snapshot, pair)),
            seen=str(state.current.version or 0),
            obstacle=None if state.pin else "It is not pinned now.",
            defaults={},
        )

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Remove the pin."""
        pair = pair_of(form)
        score_overrides.unpin(scene.operators, pair, operator, expected_version=read_version(seen))
        again = action_url("pin", model=pair[0], complexity=pair[1])
        return Done(f"Removed the pin of {tasks(pair)}.", "Pin it again", again)

    def command(self, form: Form) -> str:
        """Return `centralcloud scores unpin`."""
        arguments = form.get("model", ""), form.get("complexity", "")
        return command("scores", "unpin", options=[why(form.get("reason", ""))], arguments=arguments)


def _end(form: Form, zone: ZoneInfo, now: datetime) -> datetime | None:
    return read_end(form.get("until", ""), form.get("lasts", _DEFAULT_HOURS), zone, now)


def _then(scene: Scene, form: Form, state: PairState) -> Sequence[str]:
    rules = "The rules continue to learn, and publish nothing for it meanwhile."
    try:
        score, end = float(read_score(form.get("score", ""))), _end(form, scene.zone, scene.now)
    except ValueError:
        return ("The score and the time of the form below.", rules)
    return f"Its score is {two_decimals(score)} {until(end, scene)}{rank(state, score)}.", rules
