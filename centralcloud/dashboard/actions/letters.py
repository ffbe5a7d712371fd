"""Send dead letters to the queue again, or discard them."""

from collections.abc import Sequence
from typing import Final

from centralcloud.administration.conflict import ChangedMeanwhileError
from centralcloud.administration.dead_letters import (
    DeadLetterError,
    Filter,
    OpenLetters,
    discard,
    list_dead_letters,
    read_open_letters,
    replay,
)
from centralcloud.contracts.errors import quote
from centralcloud.dashboard.actions.action import Action, Done, Letter, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form, read_version
from centralcloud.dashboard.web.page import PageError
from centralcloud.runtime.wording import counted
from centralcloud.store.operator_actions import Operator

_FIELD: Final = "field"
#: Newest dead letters that the page shows.
_SHOWN: Final = 10


class ReplayAction(Action):
    """Send open dead letters to the queue again."""

    name = "replay"
    title = "Replay the dead letters"
    page = "/fleet"
    subject: Sequence[str] = (_FIELD,)
    in_parts = True

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return how many dead letters are sent, and the newest ones."""
        which, seen, letters = _look(scene, form)
        these = counted(seen.number, "dead letter")
        return Preview(
            question=f"Replay {these}{_of(which)}?",
            now=_now(seen, which),
            then=(
                "Each message is sent to the queue again, unchanged and once, and is ingested like a new one.",
                "One that is refused again becomes a new dead letter: fix the cause first.",
            ),
            effects=("Scores follow the outcomes in them, as they follow those of other messages.",),
            seen=f"{seen.number} {seen.newest}",
            obstacle=_obstacle(seen.number, which),
            letters=letters,
            defaults={},
        )

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Replay."""
        which = _which(form)
        replayed = replay(scene.operators, which, [], operator, expected=_expected(seen))
        if not replayed.sent:
            first = replayed.refused[0]
            raise DeadLetterError(f"no message was sent; dead letter {first.id}: {first.reason}")
        text = f"Sent {counted(replayed.sent, 'message')}{_of(which)} to the queue again."
        if replayed.refused:
            first = replayed.refused[0]
            text += f" {counted(len(replayed.refused), 'other')} stayed open; dead letter {first.id}: {first.reason}."
        return Done(text)

    def command(self, form: Form) -> str:
        """Return `centralcloud dead-letters replay`."""
        return _command("replay", form)


class DiscardAction(Action):
    """Discard open dead letters."""

    name = "discard"
    title = "Discard the dead letters"
    page = "/fleet"
    subject: Sequence[str] = (_FIELD,)

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return how many dead letters are discarded, and the newest ones."""
        which, seen, letters = _look(scene, form)
        return Preview(
            question=f"Discard {counted(seen.number, 'dead letter')}{_of(which)}?",
            now=_now(seen, which),
            then=(
                "They are not open any more, and their messages are never ingested: the outcomes in them do not count.",
                "They are kept for the days of the setting retention.dead_letters_days, then deleted. There is no undo.",
            ),
            seen=f"{seen.number} {seen.newest}",
            obstacle=_obstacle(seen.number, which),
            letters=letters,
            defaults={},
        )

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Discard."""
        which = _which(form)
        number = discard(scene.operators, which, operator, expected=_expected(seen))
        return Done(f"Discarded {counted(number, 'dead letter')}{_of(which)}.")

    def command(self, form: Form) -> str:
        """Return `centralcloud dead-letters discard`."""
        return _command("discard", form)


def _look(scene: Scene, form: Form) -> tuple[Filter, OpenLetters, list[Letter]]:
    which = _which(form)
    with scene.operators.transaction() as connection:
        seen = read_open_letters(connection, which)
    found = list_dead_letters(scene.operators, which, limit=_SHOWN, with_message=False)
    letters = [Letter(each["id"], each["created_at"], each["field"] or "", each["reason"]) for each in found]
    return which, seen, letters


def _which(form: Form) -> Filter:
    """Return the selection: of one field, or all."""
    field = form.get(_FIELD)
    if field is None or "\0" in field:
        raise PageError(
            404,
            "Which dead letters?",
            f"Found the field {quote(field or '')}, expected a field that was refused.",
            command="centralcloud dead-letters list",
        )
    return Filter(field=field or None)


def _obstacle(number: int, which: Filter) -> str | None:
    """Return why there is nothing to do; None: there are dead letters."""
    return None if number else f"There is no open dead letter{_of(which)}."


def _of(which: Filter) -> str:
    return f" of the field {which.field}" if which.field else ""


def _now(seen: OpenLetters, which: Filter) -> Sequence[str]:
    are = "is" if seen.number == 1 else "are"
    return (f"{counted(seen.number, 'message')}{_of(which)} could not be ingested, and {are} open.",)


def _expected(seen: str) -> OpenLetters:
    number, _, newest = seen.partition(" ")
    expected = OpenLetters(read_version(number), read_version(newest))
    if min(expected) < 0:
        raise ChangedMeanwhileError("the form does not say what it shows: they changed")
    return expected


def _command(verb: str, form: Form) -> str:
    field = form.get(_FIELD)
    options = [("--field", field)] if field else []
    line = command("dead-letters", verb, options=[*options, why(form.get("reason", ""), "--why")])
    return line if field else f"{line} --all"
