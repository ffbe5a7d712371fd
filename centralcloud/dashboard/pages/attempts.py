"""The attempts of a request, from its events: one for each target that was called. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from centralcloud.dashboard.pages.addresses import instance_url, pair_url
from centralcloud.dashboard.pages.request_plan import planned_name
from centralcloud.dashboard.pages.request_words import FAILED_CHECK, error_words, finish_words, place_words
from centralcloud.dashboard.sources.request import RequestRecord


class Attempt(NamedTuple):
    """A call of a model.

    Attributes:
        state: of its badge: ``good``, ``look`` or ``note``.
        result: how it ended, in words.
        why: why this target was called.
        began: by the clock of the instance.
        waited_ms: from the end of the attempt before until this one began; None for the first one, or without a time.
        first_token_ms, total_ms, estimated_ms: None where they are not known.
        cost_nano_usd, estimated_nano_usd: likewise.
        score: that the gateway used; `score_version`: None for a configured one.
        waits_until: the outcome is the feedback that arrives until then.
    """

    number: int
    model: str
    provider: str
    sent_as: str | None
    url: str
    instance: str
    instance_url: str
    state: str
    result: str
    finish: str | None
    why: str
    began: datetime
    waited_ms: int | None
    first_token_ms: int | None
    total_ms: int | None
    estimated_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_nano_usd: int | None
    estimated_nano_usd: int | None
    score: float
    score_version: int | None
    reward: float | None
    waits_until: datetime | None
    ended: bool
    success: bool | None


def attempts_of(records: Sequence[RequestRecord], places: Mapping[tuple[str, str], str]) -> tuple[Attempt, ...]:
    """Return the attempts of a request.

    Args:
        records: its events.
        places: why a target stands where it stands in the plan, by model and provider.
    """
    by_attempt: dict[str, list[RequestRecord]] = {}
    for record in sorted(records, key=lambda each: (each.attempt or 0, each.outcome != "routed", each.created_at)):
        by_attempt.setdefault(record.decision_id or str(record.attempt), []).append(record)
    found: list[Attempt] = []
    ended: datetime | None = None
    failure: str | None = None
    for number, events in enumerate(by_attempt.values(), start=1):
        attempt = _attempt(number, events, places, ended, failure)
        found.append(attempt)
        outcome = next((each for each in events if each.outcome != "routed"), None)
        failure = None if outcome is None or outcome.outcome == "success" else failure_words(outcome)
        ended = None if attempt.total_ms is None else attempt.began + timedelta(milliseconds=attempt.total_ms)
    return tuple(found)


def _attempt(
    number: int,
    events: Sequence[RequestRecord],
    places: Mapping[tuple[str, str], str],
    before: datetime | None,
    failure: str | None,
) -> Attempt:
    first = events[0]
    outcome = next((each for each in events if each.outcome != "routed"), None)

    def known(name: str) -> int | None:
        """Return the number of the outcome, else of the decision."""
        values = (getattr(each, name) for each in reversed(events))
        return next((value for value in values if value is not None), None)

    total_ms = known("response_time_ms")
    began = first.timestamp
    if first.outcome != "routed" and total_ms is not None:
        began -= timedelta(milliseconds=total_ms)
    waited = None if before is None else max(0, round((began - before).total_seconds() * 1000))
    state, result = _result(outcome, first.feedback_until)
    finish = next((each.finish_reason for each in reversed(events) if each.finish_reason), None)
    return Attempt(
        number=first.attempt or number,
        model=first.model,
        provider=first.provider,
        sent_as=first.model_version if first.model_version != first.model else None,
        url=pair_url(first.model, first.complexity),
        instance=first.instance_id,
        instance_url=instance_url(first.instance_id),
        state=state,
        result=result,
        finish=finish and finish_words(finish),
        why=_why(places.get((planned_name(first.model), planned_name(first.provider))), failure),
        began=began,
        waited_ms=waited,
        first_token_ms=known("first_token_ms"),
        total_ms=total_ms,
        estimated_ms=known("estimated_ms"),
        input_tokens=known("input_tokens"),
        output_tokens=known("output_tokens"),
        cost_nano_usd=known("cost_nano_usd"),
        estimated_nano_usd=known("estimated_nano_usd"),
        score=first.score,
        score_version=first.score_version,
        reward=outcome.reward if outcome else None,
        waits_until=first.feedback_until if outcome is None else None,
        ended=outcome is not None,
        success=None if outcome is None else outcome.outcome == "success",
    )


def _result(outcome: RequestRecord | None, feedback_until: datetime | None) -> tuple[str, str]:
    if outcome is None:
        return "note", "waits for feedback" if feedback_until else "no outcome has arrived"
    if outcome.outcome == "success":
        return "good", "answered"
    return "look", failure_words(outcome)


def failure_words(outcome: RequestRecord) -> str:
    """Return what failed. A whole answer that counts as a failure was checked by the gateway, such as for its JSON."""
    if outcome.error_kind == "provider" and outcome.finish_reason is not None:
        return FAILED_CHECK
    return error_words(outcome.error_kind)


def _why(place: str | None, failure: str | None) -> str:
    """Return why a target was called: its place in the plan, and the failure before it."""
    words = place_words(place) if place else ""
    if failure is None:
        return words
    return f"after a failure: {failure}" + (f"; in the plan: {words}" if words else "")
