"""Checks of an answer: a success of the wire that is not one for the caller.

An answer that fails a check becomes a failure of kind `provider` for learning. The client gets it as it is.
"""

from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer, FinishReason
from instance_agent.chat.messages import JsonObject, ToolCallPart
from instance_agent.execution.json_schema import first_difference

Defect: TypeAlias = Literal["empty_answer", "not_json", "not_of_schema", "invalid_arguments", "cut_off"]
_DECODER: Final = msgspec.json.Decoder()
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class AnswerChecks(Struct, frozen=True, kw_only=True):
    """The checks that are made.

    Attributes:
        empty: an answer without text, calls or refusal.
        form: JSON or a schema that the request asked for.
        arguments: arguments of tools that are not a JSON object.
        cut_off: an answer that ended at a limit of tokens. Off by default, as callers set the limit themselves; a policy may
            ask for it.
    """

    empty: bool = True
    form: bool = True
    arguments: bool = True
    cut_off: bool = False


class Wanted(Struct, frozen=True):
    """The form that a request asked for; `schema` only for ``json_schema``, None when it is not known."""

    form: Literal["json_object", "json_schema"] | None = None
    schema: JsonObject | None = None


class Verdict(Struct, frozen=True):
    """The verdict on an answer that has come to its end.

    Attributes:
        refused: the model or a filter declined.
        defect: and its explanation in one line; None for a good answer.
    """

    refused: bool = False
    defect: tuple[Defect, str] | None = None


def judge(answer: ChatAnswer, wanted: Wanted, checks: AnswerChecks) -> Verdict:
    """Return the verdict on an answer, whole or streamed."""
    refused = bool(answer.refusal) or answer.finish == "content_filter"
    return Verdict(refused, find_defect(answer, wanted, checks))


def find_defect(answer: ChatAnswer, wanted: Wanted, checks: AnswerChecks) -> tuple[Defect, str] | None:
    """Return the first defect and its explanation in one line, None for a good answer.

    A refusal and a filtered answer are not defects: they have their own outcome.
    """
    if answer.refusal or answer.finish == "content_filter":
        return None
    calls = answer.tool_calls
    text = answer.text
    found = _check_parts(text, bool(calls), answer.finish, checks)
    if found is None and checks.arguments:
        found = _check_calls(calls)
    if found is None and checks.form and wanted.form and not calls:
        found = _check_form(text, wanted)
    return found


def _check_parts(
    text: str, has_calls: bool, finish: FinishReason | None, checks: AnswerChecks
) -> tuple[Defect, str] | None:
    """Check the parts that need no parsing."""
    if checks.cut_off and finish == "length":
        return "cut_off", "found an answer that ended at its limit of tokens, expected a whole one"
    if checks.empty and not has_calls and finish != "length" and not text.strip():
        return "empty_answer", "found an empty answer, expected text or a call of a tool"
    return None


def _check_calls(calls: tuple[ToolCallPart, ...]) -> tuple[Defect, str] | None:
    for call in calls:
        try:
            _OBJECT.decode(call.arguments.strip() or "{}")
        except (ValueError, RecursionError):
            return "invalid_arguments", "found arguments of a tool that are not a JSON object"
    return None


def _check_form(text: str, wanted: Wanted) -> tuple[Defect, str] | None:
    try:
        value = _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return "not_json", "found text that is not JSON, expected JSON as the request asked"
    if wanted.form == "json_object" and not isinstance(value, dict):
        return "not_json", "found JSON that is not an object, expected an object as the request asked"
    if wanted.schema is not None:
        where = first_difference(value, wanted.schema)
        if where is not None:
            return "not_of_schema", f"found JSON that is not of the request's schema: {where}"
    return None
