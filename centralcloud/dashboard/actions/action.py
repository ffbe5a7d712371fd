"""The shape of an action, and of the page that asks for its confirmation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from centralcloud.dashboard.actions.forms import Form, Problems
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Operator


@dataclass(frozen=True, slots=True)
class Field:
    """A field that an operator fills in; every form also has the field ``reason``.

    Attributes:
        kind: ``number``, ``choice`` or ``time``: a time in the viewer's zone, without a zone in its text.
        options: of a choice: the value and the words of each.
        default: the value of a form that was not filled in yet.
    """

    name: str
    label: str
    kind: str
    hint: str = ""
    options: Sequence[tuple[str, str]] = ()
    default: str = ""


class Move(NamedTuple):
    """A score that the action moves. `url`: of the pair."""

    model: str
    complexity: str
    url: str
    now: float
    then: float


class Letter(NamedTuple):
    """A dead letter that the action concerns, without its message."""

    id: int
    at: datetime
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The effect of an action, before it is performed.

    Attributes:
        question: the heading of the page.
        now: sentences that say what stands.
        then: sentences that say what will stand.
        effects: sentences that say how many instances follow, and what share of the traffic it moves.
        seen: the state that the page shows, which `Action.perform` compares with the state that it finds.
        obstacle: why it cannot be done now; None: it can.
        moves: the scores that it moves, all of them, where it is not the one of the heading.
        letters: the newest dead letters that it concerns.
        defaults: values of fields that were not filled in yet.
    """

    question: str
    now: Sequence[str] = ()
    then: Sequence[str] = ()
    effects: Sequence[str] = ()
    seen: str
    obstacle: str | None = None
    moves: Sequence[Move] = ()
    letters: Sequence[Letter] = ()
    defaults: Form


class Done(NamedTuple):
    """An action that was performed.

    Attributes:
        text: one sentence for the page after it.
        undo, undo_url: the words and the address of the action that takes it back; empty: there is none.
    """

    text: str
    undo: str = ""
    undo_url: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """The state in which an action is looked at, or performed.

    Attributes:
        operators: the database with the role of operators; its transactions raise `UnknownCommitError`.
        readers: the database with the role of the dashboard.
        snapshot: the newest values of the pages.
        zone: of the viewer.
        now: by the database's clock.
    """

    operators: Database
    readers: Database
    snapshot: Snapshot
    zone: ZoneInfo
    now: datetime


class Action(Protocol):
    """One action. `preview` and `perform` are called in a thread, and read or write the database.

    Attributes:
        name: of its address, ``/actions/<name>``.
        title: of its page, and its button: a verb with its object.
        fields: those that an operator fills in, besides the reason.
        subject: the fields that say what is changed; the address of the page has them, and the form carries them along.
        in_parts: whether it commits several transactions, so that an error may leave a part of the change.
        page: the address of the page that shows what is changed; of a pair it is the pair's own.
    """

    name: str
    title: str
    fields: Sequence[Field] = ()
    subject: Sequence[str] = ()
    in_parts: bool = False
    page: str = "/"

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return what the action would do.

        Raises:
            PageError: there is nothing of that name.
        """

    def check(self, scene: Scene, form: Form, problems: Problems) -> None:  # noqa: ARG002 - for those with fields
        """Note the problems of the fields; none without fields."""
        return

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Do it, with a form that has no problems, unless the state is not `seen` any more.

        Raises:
            ChangedMeanwhileError: another change came first.
            CentralCloudError: it cannot be done; the message says why.
        """

    def command(self, form: Form) -> str:
        """Return the command that does the same; with what the form lacks as a word in its place."""
