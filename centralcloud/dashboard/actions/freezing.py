"""Stop the publication of learned scores, and resume it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from centralcloud.administration.conflict import ChangedMeanwhileError
from centralcloud.administration.score_overrides import Freeze, freeze, read_freeze, read_newest_version, unfreeze
from centralcloud.dashboard.actions.action import Action, Done, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form
from centralcloud.dashboard.actions.reach import at, instances_in_words
from centralcloud.store.operator_actions import Operator

_LEARN_ON: Final = "The rules continue to learn in the shadow. Pins and rollbacks still work."


class FreezeAction(Action):
    """Publish no learned score until it is undone."""

    name = "freeze"
    title = "Freeze learning"

    def preview(self, scene: Scene, _form: Form) -> Preview:
        """Return whether scores are frozen."""
        found, newest = _read(scene)
        then = (
            "The reason is replaced by the one below; the time of the first freeze stays." if found else _frozen(newest)
        )
        return Preview(
            question="Freeze learning again, with another reason?" if found else "Freeze learning?",
            now=_now(found, scene),
            then=(then, _LEARN_ON),
            effects=(
                f"{instances_in_words(scene.snapshot)} on with the scores as they are.",
                "All of the traffic goes by these scores, until learning is unfrozen. It has no end of its own.",
            ),
            seen=_seen(found),
            defaults={},
        )

    def perform(self, scene: Scene, _form: Form, seen: str, operator: Operator) -> Done:
        """Freeze."""
        reason = operator.reason or ""
        freeze(scene.operators, reason, operator, expected=_expected(seen))
        return Done(f"Froze learning: {reason}", "Unfreeze it", "/actions/unfreeze")

    def command(self, form: Form) -> str:
        """Return `centralcloud freeze`."""
        return command("freeze", options=[why(form.get("reason", ""))])


class UnfreezeAction(Action):
    """Publish learned scores again."""

    name = "unfreeze"
    title = "Unfreeze learning"

    def preview(self, scene: Scene, _form: Form) -> Preview:
        """Return since when and why scores are frozen."""
        found, _ = _read(scene)
        return Preview(
            question="Unfreeze learning?",
            now=_now(found, scene),
            then=("From its next run on, the learner publishes what the rules have learned meanwhile.",),
            effects=(f"{instances_in_words(scene.snapshot)} on with what is published then.",),
            seen=_seen(found),
            obstacle=None if found else "Learning is not frozen now.",
            defaults={},
        )

    def perform(self, scene: Scene, _form: Form, seen: str, operator: Operator) -> Done:
        """Unfreeze."""
        if not unfreeze(scene.operators, operator, expected=_expected(seen)):
            raise ChangedMeanwhileError("scores were published again")
        return Done("Unfroze learning: the next run of the learner publishes.", "Freeze it again", "/actions/freeze")

    def command(self, form: Form) -> str:
        """Return `centralcloud unfreeze`."""
        return command("unfreeze", options=[why(form.get("reason", ""))])


def _read(scene: Scene) -> tuple[Freeze | None, int]:
    with scene.operators.transaction() as connection:
        return read_freeze(connection), read_newest_version(connection)


def _now(found: Freeze | None, scene: Scene) -> Sequence[str]:
    if found is None:
        return ("Learning is not frozen: the learner publishes what the rules learn.",)
    by = f" by {found.who}" if found.who else ""
    return (f"Learning is frozen since {at(found.frozen_at, scene.zone)}{by}: {found.reason or 'no reason given'}",)


def _frozen(newest: int) -> str:
    version = f" Scores stay at version {newest:,}." if newest else ""
    return f"No learned score is published, until it is unfrozen.{version}"


def _seen(found: Freeze | None) -> str:
    return found.frozen_at.isoformat() if found else ""


def _expected(seen: str) -> datetime | None:
    try:
        return datetime.fromisoformat(seen) if seen else None
    except ValueError:
        raise ChangedMeanwhileError("the form does not say what it shows: it changed") from None
