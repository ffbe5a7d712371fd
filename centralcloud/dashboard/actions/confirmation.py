"""The model of the page that asks for the confirmation of an action. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from centralcloud.dashboard.actions.action import Action, Preview
from centralcloud.dashboard.actions.forms import Form


class FilledField(NamedTuple):
    """A field with its value, and its problem; empty: there is none."""

    name: str
    label: str
    kind: str
    hint: str
    options: Sequence[tuple[str, str]]
    value: str
    problem: str


class Confirmation(NamedTuple):
    """The page.

    Attributes:
        title: of the window.
        question: the heading.
        preview: None where the database could not be read.
        message: why the form that was sent did nothing; empty: none was sent.
        hidden: names and values that the form carries along.
        command: the same as a command.
        may_send: whether there is a button.
    """

    name: str
    title: str
    question: str
    preview: Preview | None
    message: str
    fields: Sequence[FilledField]
    reason: FilledField
    hidden: Sequence[tuple[str, str]]
    command: str
    back: str
    zone: str
    may_send: bool


def confirmation(
    action: Action,
    form: Form,
    preview: Preview | None,
    *,
    back: str,
    zone: str,
    form_id: str,
    message: str = "",
    problems: Mapping[str, str] | None = None,
) -> Confirmation:
    """Return the page for a form, with the values that were typed.

    Args:
        preview: None where the database could not be read.
        problems: by the name of a field.
    """
    problems = problems or {}
    defaults = preview.defaults if preview else {}
    values = {each.name: form.get(each.name, defaults.get(each.name, each.default)) for each in action.fields}
    fields = [
        FilledField(
            each.name, each.label, each.kind, each.hint, each.options, values[each.name], problems.get(each.name, "")
        )
        for each in action.fields
    ]
    reason = FilledField("reason", "Reason", "text", "", (), form.get("reason", ""), problems.get("reason", ""))
    seen = preview.seen if preview else form.get("seen", "")
    hidden = [(name, form[name]) for name in action.subject if name in form]
    hidden += [("seen", seen), ("form", form_id), ("back", back), ("zone", zone)]
    return Confirmation(
        name=action.name,
        title=action.title,
        question=preview.question if preview else action.title,
        preview=preview,
        message=message,
        fields=fields,
        reason=reason,
        hidden=hidden,
        command=action.command({**values, **form, "zone": zone}),
        back=back,
        zone=zone,
        may_send=preview is None or preview.obstacle is None,
    )
