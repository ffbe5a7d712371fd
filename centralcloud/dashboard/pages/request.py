"""One request, explained from its task to what was learned from it."""

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.pages.addresses import experiment_url, pair_url
from centralcloud.dashboard.pages.attempts import Attempt, attempts_of
from centralcloud.dashboard.pages.request_plan import (
    PlanView,
    places_of,
    plan_view,
    planned_name,
    task_of,
)
from centralcloud.dashboard.pages.request_words import FAILED_CHECK, source_words
from centralcloud.dashboard.pages.shadow import Shadow, shadows_of
from centralcloud.dashboard.sources.experiments import EXPERIMENTS
from centralcloud.dashboard.sources.request import REQUEST, FoundRequest, RequestRecord
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.page import Models, Page, PageContext, PageError
from centralcloud.runtime.wording import counted

_BLAMELESS: Final = ("caller", "policy")
#: Until then an event may still be on its way.
_ARRIVES_SECONDS: Final = 120


class Heading(NamedTuple):
    """The answer in a sentence. `began`: by the id, else by the first event."""

    state: str
    headline: str
    request_id: str
    began: datetime | None
    workspace: str | None


class Task(NamedTuple):
    """The task, and where its type and complexity come from, in words.

    Attributes:
        experiment_url: its page; None: it is not one of the configuration, or not any more.
    """

    complexity: str
    of_10: int | None
    complexity_from: str | None
    task_type: str | None
    type_from: str | None
    agent_type: str | None
    classifier: str | None
    confidence: float | None
    experiment: str | None
    experiment_url: str | None
    arm: str | None


class Chosen(NamedTuple):
    """The rule, the policy and the plan. `missing`: why there is no plan; None: there is one."""

    rule: str | None
    policy: str | None
    plan: PlanView | None
    missing: str | None


class ShadowRules(NamedTuple):
    """The choices of the shadow rules. `missing`: why there are none."""

    shadows: tuple[Shadow, ...]
    missing: str | None


class Outcome(NamedTuple):
    """The end of the request: sums of its attempts, and what learning made of it.

    Attributes:
        total_ms, estimated_ms: None where no attempt has one.
        learned: what learning counts, a sentence for each attempt.
        feedback: in words; None: none has arrived.
    """

    state: str
    text: str
    total_ms: int | None
    estimated_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_nano_usd: int | None
    estimated_nano_usd: int | None
    learned: tuple[tuple[str, str, str], ...]
    feedback: str | None
    feedback_at: datetime | None


async def build(context: PageContext) -> Models:
    """Build the page; raises PageError for an id that is not one, or of which nothing is here."""
    request_id = _id_of(context.query.get("request_id", ""))
    found = await context.lookup(REQUEST, request_id)
    if not found.records and found.plan is None:
        raise _nothing(request_id, found, context)
    plan = found.plan.value if found.plan else {}
    attempts = attempts_of(found.records, places_of(plan))
    called: dict[tuple[str, str], int] = {}
    for each in attempts:
        called.setdefault((planned_name(each.model), planned_name(each.provider)), each.number)
    known = context.of(EXPERIMENTS)
    task = task_view(found.records, plan, {each.experiment.id for each in known.configured} if known else set())
    began = began_at(request_id) or (attempts[0].began if attempts else found.plan.created_at if found.plan else None)
    chosen = Chosen(
        rule=_first(found.records, "rule"),
        policy=_first(found.records, "policy"),
        plan=plan_view(plan, task.complexity, called) if found.plan else None,
        missing=None if found.plan else _no_plan(found, began, context.now),
    )
    return {
        "heading": heading(request_id, task, attempts, began, _first(found.records, "workspace")),
        "task": task,
        "choice": chosen,
        "shadow": shadow_rules(found, attempts, chosen.plan, began),
        "attempts": attempts or None,
        "outcome": outcome(found, attempts, task.complexity),
        "gone": None if found.records else _no_records(found),
    }


def began_at(request_id: str) -> datetime | None:
    """Return when a request began, from its id; None where the id does not say it: one that no gateway made."""
    value = uuid.UUID(request_id)
    if value.version != 7:
        return None
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def task_view(
    records: Sequence[RequestRecord], plan: dict[str, Any], experiments: Collection[str] = frozenset()
) -> Task:
    """Return the task of a request. `experiments`: the ids of those that have a page."""
    planned = task_of(plan)
    sources = planned.get("from")
    type_from, level_from = sources if isinstance(sources, list) and len(sources) == 2 else (None, None)
    confidence = planned.get("confidence")
    experiment = _first(records, "experiment")
    return Task(
        complexity=records[0].complexity if records else str(planned.get("level") or "unknown"),
        of_10=_first(records, "complexity_of_10"),
        complexity_from=source_words(str(level_from)) if level_from else None,
        task_type=_first(records, "task_type") or planned.get("type"),
        type_from=source_words(str(type_from)) if type_from else None,
        agent_type=_first(records, "agent_type"),
        classifier=_first(records, "classifier"),
        confidence=confidence if isinstance(confidence, float) else None,
        experiment=experiment,
        experiment_url=experiment_url(experiment) if experiment in experiments else None,
        arm=_first(records, "arm"),
    )


def heading(
    request_id: str, task: Task, attempts: Sequence[Attempt], began: datetime | None, workspace: str | None
) -> Heading:
    """Return the answer in a sentence: "ember-reason answered a complex task in 1.2 s, after one failure"."""
    if not attempts:
        state, headline = "neutral", "The events of this request are not here"
        return Heading(state, headline, request_id, began, workspace)
    last = attempts[-1]
    failures = sum(each.success is False for each in attempts)
    what = f"{_article(task.complexity)} {task.complexity} task"
    if last.success:
        total = sum(each.total_ms or 0 for each in attempts)
        within = f" in {formats.milliseconds(total)}" if total else ""
        after = f", after {counted(failures, 'failed attempt')}" if failures else ""
        state, headline = ("look" if failures else "good"), f"{last.model} answered {what}{within}{after}"
    elif last.result == FAILED_CHECK:
        state, headline = "look", f"{last.model} answered {what}, but {FAILED_CHECK}"
    elif last.success is False:
        names = list(dict.fromkeys(each.model for each in attempts))
        who = names[0] if len(names) == 1 else f"{len(names)} models"
        state, headline = "bad", f"{who} did not answer {what}: {last.result}"
    else:
        state, headline = "neutral", f"{last.model} was called for {what}; {last.result}"
    return Heading(state, headline, request_id, began, workspace)


def shadow_rules(
    found: FoundRequest, attempts: Sequence[Attempt], plan: PlanView | None, began: datetime | None
) -> ShadowRules | None:
    """Return the choices of the shadow rules; None where no model was called."""
    if not attempts or began is None:
        return None
    names = {each.model for each in plan.candidates} if plan else set()
    candidates = names | {each.model for each in attempts}
    shadows = shadows_of(found.scores, candidates, attempts[0].model, began)
    if shadows:
        return ShadowRules(shadows, None)
    if not found.scores:
        return ShadowRules((), "No rule has scored the models of this complexity yet.")
    return ShadowRules((), "No shadow rule has a score for one of the candidates.")


def outcome(found: FoundRequest, attempts: Sequence[Attempt], complexity: str) -> Outcome | None:
    """Return the end of a request; None without an attempt."""
    if not attempts:
        return None
    last = attempts[-1]
    failed = f"An answer, but {FAILED_CHECK}" if last.result == FAILED_CHECK else f"No answer: {last.result}"
    text = {True: "The client has its answer", False: failed, None: f"Open: {last.result}"}
    feedback = found.feedback
    return Outcome(
        state={True: "good", False: "bad", None: "note"}[last.success],
        text=text[last.success],
        total_ms=_sum(attempts, "total_ms"),
        estimated_ms=attempts[0].estimated_ms,
        input_tokens=_sum(attempts, "input_tokens"),
        output_tokens=_sum(attempts, "output_tokens"),
        cost_nano_usd=_sum(attempts, "cost_nano_usd"),
        estimated_nano_usd=_sum(attempts, "estimated_nano_usd"),
        learned=tuple(_learned(found.records, attempts, complexity)),
        feedback=None if feedback is None else _feedback(feedback.success, feedback.reward, learned=feedback.learned),
        feedback_at=None if feedback is None else feedback.created_at,
    )


def _learned(
    records: Sequence[RequestRecord], attempts: Sequence[Attempt], complexity: str
) -> list[tuple[str, str, str]]:
    """Return for each attempt its model, the address of its pair, and what learning counts."""
    kinds = {each.attempt: each.error_kind for each in records if each.outcome == "failure"}
    found = []
    for each in attempts:
        if each.success is None:
            text = "counts once its outcome arrives"
        elif each.success:
            graded = "" if each.reward is None else f", with a reward of {each.reward:.2f}"
            text = f"counts as a success for {complexity} tasks{graded}"
        elif kinds.get(each.number) in _BLAMELESS:
            text = "counts neither for nor against the model: it is not to blame"
        else:
            text = f"counts as a failure for {complexity} tasks"
        found.append((each.model, pair_url(each.model, complexity), text))
    return found


def _feedback(success: bool, reward: float | None, *, learned: bool) -> str:
    grade = "" if reward is None else f", reward {reward:.2f} of 1"
    words = f"{'Good' if success else 'Bad'}{grade}. "
    if learned:
        return words + "It is the outcome that learning counts."
    return words + "Learning does not count it: the decision had another outcome, or did not wait for feedback."


def _nothing(request_id: str, found: FoundRequest, context: PageContext) -> PageError:
    began = began_at(request_id)
    kept = found.kept
    if began is not None and kept.records and began < context.now - timedelta(days=kept.records):
        message = (
            f"It began {began.astimezone(context.zone):%d %b %Y}. The events of a request are kept for {kept.records} days "
            f"(fleet setting retention.records_days), its plan for {kept.plans}: both are gone."
        )
        return PageError(404, "This request is gone", message)
    if began is not None and began > context.now - timedelta(seconds=_ARRIVES_SECONDS):
        message = (
            "Neither its events nor its plan have arrived yet: usually they do after a second. Load the page again."
        )
    else:
        message = (
            f"Found no event and no plan with the id {request_id}. A request that was refused before a model was called has "
            "none; events may wait in the queue, or in the spool of a gateway. The gateway that has answered knows it:"
        )
    return PageError(404, "No such request", message, command=f"curl GATEWAY/api/decisions/{request_id}")


def _no_plan(found: FoundRequest, began: datetime | None, now: datetime) -> str:
    days = found.kept.plans
    if days == 0:
        return "Its plan was not stored: plans are switched off (fleet setting retention.request_plans_days is 0)."
    if began is not None and began < now - timedelta(days=days):
        return f"Its plan is gone: plans are kept for {days} days (fleet setting retention.request_plans_days)."
    return "No plan has arrived: the event of its first attempt carries it. The client of a library sends none."


def _no_records(found: FoundRequest) -> str:
    days = found.kept.records
    kept = f"kept for {days} days (fleet setting retention.records_days)" if days else "kept for ever"
    return f"Only the plan of this request is here: its events were not ingested, or are gone. They are {kept}."


def _id_of(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        message = f"Found {text[:80]!r}, expected the id of a request, such as 0192f0c1-2b3c-7d4e-8f90-123456789abc."
        raise PageError(404, "No such request", message) from None


def _first(records: Sequence[RequestRecord], name: str) -> Any:
    return next((value for each in records if (value := getattr(each, name)) is not None), None)


def _sum(attempts: Sequence[Attempt], name: str) -> int | None:
    values = [value for each in attempts if (value := getattr(each, name)) is not None]
    return sum(values) if values else None


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


PAGE: Final = Page(
    path="/request/{request_id}",
    name="request",
    title="Request",
    sources=(EXPERIMENTS,),
    build=build,
    in_navigation=False,
    under="gateway",
)
