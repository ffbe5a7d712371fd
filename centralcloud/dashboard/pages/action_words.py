"""Actions of operators in words: a sentence, the changes, and the command that undoes them. Pure."""

import json
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.pages.action_values import (
    MOST_CHANGES,
    NOTHING,
    Change,
    Values,
    changed_entries,
    changed_scores,
    entry_words,
    score_words,
    text_of,
)
from centralcloud.dashboard.pages.addresses import COMPLEXITIES, action_url, instance_url, model_url, pair_url
from centralcloud.dashboard.pages.words import pair_words, spoken
from centralcloud.dashboard.sources.activity import ActionRow
from centralcloud.runtime.wording import counted


class Deed(NamedTuple):
    """An action in words: "pinned", the subject, "at 2.00", until a time.

    Attributes:
        url: the page of the subject; None: it has none.
        rest: the end of the sentence; empty: there is none.
        until: when a pin ends, or before when messages were deleted; `rest` leads to it.
        more: changes that are not listed.
        undo: the command that undoes it; None: none does.
        undo_url: the page of the action that undoes it, for operators; None: there is none.
    """

    verb: str
    subject: str
    url: str | None
    rest: str = ""
    until: datetime | None = None
    changes: tuple[Change, ...] = ()
    more: int = 0
    undo: str | None = None
    undo_url: str | None = None


class _Act(NamedTuple):
    """An action with its values read. `newest`: the newest version of the configuration."""

    row: ActionRow
    before: Values
    after: Values
    newest: int | None

    @property
    def subject(self) -> str:
        return self.row.subject


#: Verbs for a filter, and for other pages: each action of `centralcloud.store.operator_actions.Action`.
VERBS: Final = {
    "pin": "pinned a score",
    "unpin": "unpinned a score",
    "rollback": "rolled scores back",
    "freeze": "froze learning",
    "unfreeze": "unfroze learning",
    "force_learning": "forced a publication",
    "change_setting": "changed a setting",
    "rename_model": "renamed a model",
    "retire_model": "retired a model",
    "reinstate_model": "reinstated a model",
    "mark_model_changed": "said that a model changed",
    "undo_model_change": "undid a change of a model",
    "forget_models": "forgot models",
    "forget_instance": "forgot an instance",
    "replay_dead_letters": "replayed dead letters",
    "discard_dead_letters": "discarded dead letters",
    "purge_queue": "deleted messages from the queue",
    "repair": "repaired sums",
    "repair_sequences": "repaired sequences",
    "grant_roles": "granted the rights of the roles",
    "grant_login": "created a login",
    "revoke_login": "revoked a login",
    "change_configuration": "changed the configuration",
    "create_key": "created a key",
    "rotate_key": "rotated a key",
    "revoke_key": "revoked a key",
    "remove_key": "removed a key",
    "train_classifier": "trained the classifier",
    "choose_classifier": "chose a classifier",
    "promote_scores": "published the scores of an experiment",
}


def verb(action: str) -> str:
    """Return an action in words, without its subject: "pinned a score"."""
    return VERBS.get(action, spoken(action).lower())


def describe(row: ActionRow, newest_configuration: int | None = None) -> Deed:
    """Return an action in words. An action that this version does not know is named by its code, without its underscores.

    Args:
        newest_configuration: the newest version of the configuration: only its change can be undone without later ones.
    """
    before, after = row.values
    known = _DEEDS.get(row.action, _other)
    return known(_Act(row, before, after, newest_configuration))


def subject_url(subject: str) -> str | None:
    """Return the page of a subject that is a pair or the scores; None for others."""
    if subject == "scores":
        return "/scores"
    if subject == "dead-letters":
        return "/fleet#dead-letters"
    if subject == "queue":
        return "/fleet#queue"
    model, separator, complexity = subject.rpartition("/")
    return pair_url(model, complexity) if separator and complexity in COMPLEXITIES else None


def _pin(act: _Act) -> Deed:
    until = _moment(act.after.get("until"))
    score = act.after.get("pin")
    changes = [Change("Score", score_words(act.before.get("score")), score_words(act.after.get("score")))]
    if act.before.get("pin") is not None:
        changes.append(Change("Pin", score_words(act.before["pin"]), score_words(score)))
    rest = f"at {score_words(score)}{' until' if until else ', until it is unpinned'}"
    undo = _command("scores", "unpin", *_pair_of(act.subject))
    return _pair(act, "pinned", rest, until, changes, undo, action_url("unpin", **_subject(act.subject)))


def _unpin(act: _Act) -> Deed:
    score, until = act.before.get("pin"), _moment(act.before.get("until"))
    again, url = None, None
    if score is not None:
        url = action_url("pin", **_subject(act.subject), score=str(score))
        ends = ("--until", until.isoformat()) if until else ()
        again = _command("scores", "pin", *_pair_of(act.subject), str(score), *ends)
    return _pair(act, "unpinned", "", None, [Change("Pin", score_words(score), NOTHING)], again, url)


def _pair(
    act: _Act,
    verb: str,
    rest: str,
    until: datetime | None,
    changes: Sequence[Change],
    undo: str | None,
    undo_url: str | None,
) -> Deed:
    return Deed(verb, pair_words(act.subject), subject_url(act.subject), rest, until, tuple(changes), 0, undo, undo_url)


def _subject(subject: str) -> dict[str, str]:
    return dict(zip(("model", "complexity"), _pair_of(subject), strict=True))


def _rollback(act: _Act) -> Deed:
    changes, more = changed_scores(act.before, act.after)
    return Deed(
        "rolled",
        "all scores",
        "/scores",
        f"back to version {text_of(act.after.get('to_version'))}",
        None,
        changes,
        more,
    )


def _promoted(act: _Act) -> Deed:
    changes, more = changed_scores(act.before, act.after)
    number = counted(len(changes) + more, "score")
    return Deed(
        "published",
        f"the score table of the experiment {text_of(act.after.get('experiment'))}",
        "/scores",
        f"to the fleet: {number} changed",
        None,
        changes,
        more,
    )


def _freeze(act: _Act) -> Deed:
    change = Change("Reason", text_of(act.before.get("reason"), ""), text_of(act.after.get("reason"), ""))
    undo = "centralcloud unfreeze"
    return Deed("froze", "learned scores", "/scores", "", None, (change,), 0, undo, action_url("unfreeze"))


def _unfreeze(act: _Act) -> Deed:
    reason = text_of(act.before.get("reason"), "")
    undo = _command("freeze", "--reason", reason) if reason else None
    changes = (Change("Reason", reason, ""),)
    return Deed("unfroze", "learned scores", "/scores", "", None, changes, 0, undo, action_url("freeze"))


def _force(act: _Act) -> Deed:
    changes, more = changed_scores(act.before, act.after)
    number = counted(len(changes) + more, "score")
    return Deed(
        "forced", "the learner", "/incidents#runs", f"to publish {number} that it had withheld", None, changes, more
    )


def _setting(act: _Act) -> Deed:
    change = Change(act.subject, text_of(act.before.get("value"), "the default"), text_of(act.after.get("value")))
    undo = None
    if act.before.get("value") is not None:
        undo = _command("settings", "set", act.subject, _argument(act.before["value"]))
    return Deed("changed", f"the setting {act.subject}", None, "", None, (change,), 0, undo)


def _rename(act: _Act) -> Deed:
    new = text_of(act.after.get("model"))
    merged = act.after.get("merged") or []
    rest = f"to {new}" + (", whose outcomes now include its own" if merged else "")
    undo = None if merged else _command("models", "rename", new, act.subject)
    changes, more = changed_scores(act.before, act.after)
    return Deed("renamed", act.subject, model_url(new), rest, None, changes, more, undo)


def _retire(act: _Act) -> Deed:
    changes, more = changed_scores(act.before, act.after)
    undo = _command("models", "retire", act.subject, "--undo")
    return Deed("retired", act.subject, model_url(act.subject), "", None, changes, more, undo)


def _reinstate(act: _Act) -> Deed:
    changes, more = changed_scores(act.before, act.after)
    undo = _command("models", "retire", act.subject)
    return Deed("reinstated", act.subject, model_url(act.subject), "", None, changes, more, undo)


def _mark_changed(act: _Act) -> Deed:
    complexities = act.after.get("complexities") or []
    rest = f"has changed, for {' and '.join(map(str, complexities))} tasks" if complexities else "has changed"
    undo = _command("models", "changed", act.subject, "--undo")
    return Deed("said that", act.subject, model_url(act.subject), rest, undo=undo)


def _undo_change(act: _Act) -> Deed:
    before, after = act.before.get("version_before"), act.before.get("version_after")
    changes = (Change("Version", text_of(after), text_of(before)),) if after else ()
    return Deed("undid the newest change of", act.subject, model_url(act.subject), "", None, changes)


def _forget_models(act: _Act) -> Deed:
    number = act.after.get("models") or act.after.get("names") or len(act.before.get("models") or ())
    names = act.before.get("models") or []
    subject = act.subject if act.subject != "models" else counted(int(number), "model") if number else "models"
    changes = tuple(Change(str(name), "known", "counted as (other)") for name in names[:MOST_CHANGES])
    return Deed("forgot", subject, None, "", None, changes, max(0, len(names) - MOST_CHANGES))


def _forget_instance(act: _Act) -> Deed:
    change = Change("Version of its scores", text_of(act.before.get("applied_version")), "")
    return Deed("forgot", f"the instance {act.subject}", instance_url(act.subject), "", None, (change,))


def _replay(act: _Act) -> Deed:
    edits = act.after.get("edits") or []
    changed = f", with {counted(len(edits), 'field')} changed" if edits else ""
    return _letters("replayed", f"{_count(act.after.get('sent'), 'dead letter')}{changed}")


def _discard(act: _Act) -> Deed:
    return _letters("discarded", _count(act.after.get("discarded"), "dead letter"))


def _letters(verb: str, subject: str) -> Deed:
    return Deed(verb, subject, "/fleet#dead-letters")


def _purge(act: _Act) -> Deed:
    before = _moment(act.after.get("sent_before"))
    rest = "from the queue" + (", those sent before" if before else "")
    return Deed("deleted", _count(act.after.get("purged"), "message"), "/fleet#queue", rest, before)


def _repair(act: _Act) -> Deed:
    if act.subject == "unaccounted messages":
        return Deed("accepted", _count(act.after.get("number"), "missing message"), "/fleet#queue", "as lost")
    tables = act.before.get("differences") or {}
    changes = tuple(
        Change(str(name), counted(int(number), "wrong row"), "corrected") for name, number in tables.items()
    )
    return Deed("repaired", "sums that differed from their records", None, "", None, changes[:MOST_CHANGES])


def _sequences(act: _Act) -> Deed:
    changes = [Change(name, text_of(act.before.get(name)), text_of(after)) for name, after in act.after.items()]
    return Deed("raised", counted(len(changes), "sequence"), None, "", None, tuple(changes[:MOST_CHANGES]))


def _roles(_act: _Act) -> Deed:
    return Deed("granted", "the rights of the roles", None)


def _login(act: _Act) -> Deed:
    undo = _command("grants", "--instance", act.subject, "--revoke", "--apply")
    return Deed("created", "a login", instance_url(act.subject), f"for {act.subject}", undo=undo)


def _revoked_login(act: _Act) -> Deed:
    return Deed("revoked", "the login", instance_url(act.subject), f"of {act.subject}")


def _configuration(act: _Act) -> Deed:
    version = act.after.get("config_version")
    changes = list(changed_entries(act.before, act.after))
    single = act.subject != "configuration"
    subject = entry_words(act.subject) if single else _count(act.after.get("changed"), "entry", "entries")
    created = single and not act.before and act.after.get("entries")
    removed = single and act.before and act.after.get("entries") is None and not act.row.is_cut
    word = "created" if created else "removed" if removed else "changed"
    rest = f"{'' if single else 'of the configuration'}"
    undo = None
    if isinstance(version, int) and version == act.newest and act.row.way != "migration":
        undo = _command("configuration", "rollback", "--to", str(version - 1))
    return Deed(
        word, subject, None, rest, None, tuple(changes[:MOST_CHANGES]), max(0, len(changes) - MOST_CHANGES), undo
    )


def _key(word: str) -> Callable[[_Act], Deed]:
    def describe_key(act: _Act) -> Deed:
        changes = list(changed_entries(act.before, act.after))
        return Deed(word, entry_words(act.subject), None, "", None, tuple(changes[:MOST_CHANGES]))

    return describe_key


def _trained(act: _Act) -> Deed:
    rest = f"on {_count(act.after.get('prompts'), 'prompt')}"
    return Deed("trained", f"version {text_of(act.after.get('version'))} of the classifier", None, rest)


def _classifier(act: _Act) -> Deed:
    before, after = (text_of(side.get("version"), "the table of words") for side in (act.before, act.after))
    return Deed("chose", "a classifier of tasks", None, "", None, (Change("Version", before, after),))


def _other(act: _Act) -> Deed:
    names = [name for name in dict.fromkeys((*act.before, *act.after)) if act.before.get(name) != act.after.get(name)]
    changes = [
        Change(spoken(name), text_of(act.before.get(name), ""), text_of(act.after.get(name), "")) for name in names
    ]
    url = subject_url(act.subject)
    more = max(0, len(changes) - MOST_CHANGES)
    return Deed(verb(act.row.action), pair_words(act.subject), url, "", None, tuple(changes[:MOST_CHANGES]), more)


_DEEDS: Final[dict[str, Callable[[_Act], Deed]]] = {
    "pin": _pin,
    "unpin": _unpin,
    "rollback": _rollback,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "force_learning": _force,
    "change_setting": _setting,
    "rename_model": _rename,
    "retire_model": _retire,
    "reinstate_model": _reinstate,
    "mark_model_changed": _mark_changed,
    "undo_model_change": _undo_change,
    "forget_models": _forget_models,
    "forget_instance": _forget_instance,
    "replay_dead_letters": _replay,
    "discard_dead_letters": _discard,
    "purge_queue": _purge,
    "repair": _repair,
    "repair_sequences": _sequences,
    "grant_roles": _roles,
    "grant_login": _login,
    "revoke_login": _revoked_login,
    "change_configuration": _configuration,
    "create_key": _key("created"),
    "rotate_key": _key("rotated"),
    "revoke_key": _key("revoked"),
    "remove_key": _key("removed"),
    "train_classifier": _trained,
    "choose_classifier": _classifier,
    "promote_scores": _promoted,
}


def _pair_of(subject: str) -> tuple[str, str]:
    model, _, complexity = subject.rpartition("/")
    return model, complexity


def _command(*words: str) -> str:
    return shlex.join(("centralcloud", *words))


def _count(number: Any, noun: str, plural: str | None = None) -> str:
    return counted(number, noun, plural) if isinstance(number, int) else f"{plural or noun + 's'}"


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
