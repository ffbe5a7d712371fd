"""POST /api/routing/select: the model of a policy for a task, with its expected cost, and those that are skipped."""

import math
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import NANO_USD_PER_USD
from centralcloud.contracts.text import read_name
from instance_agent.catalog.configuration import Target
from instance_agent.chat.protocol import RequestHead
from instance_agent.gateway.api.requests import json_answer, json_object, only_fields, text_field
from instance_agent.gateway.context import RequestContext, context_of
from instance_agent.gateway.errors import InvalidFieldError
from instance_agent.gateway.parts import KEY, GatewayParts
from instance_agent.gateway.pipeline import route
from instance_agent.routing.plan import Plan
from instance_agent.routing.request import HealthView
from instance_agent.routing.rules import POLICY_PREFIX
from instance_agent.routing.spend import estimated_nano_usd, expected_output, is_open
from instance_agent.routing.task import estimate_tokens, hints_from_headers, hints_from_metadata, resolve_task

SELECT_FIELDS: Final = (
    "task_type", "complexity", "agent_type", "prompt", "estimated_tokens", "max_tokens", "worker", "task_id"
)  # fmt: skip
_LONGEST_PROMPT: Final = 32 * 1024 * 1024
_LONGEST_LABEL: Final = 200
_MOST_TOKENS: Final = 1_000_000_000
#: Characters of a token, as `estimate_tokens` counts.
_CHARACTERS: Final = 3.5


async def select(request: web.Request) -> web.Response:
    """Select a model for a task. Calls no provider and stores nothing."""
    context = context_of(request)
    context.principal.require("viewer")
    value = await json_object(request)
    only_fields(value, SELECT_FIELDS)
    parts: GatewayParts = request.app[KEY]
    text = text_field(value, "prompt", longest=_LONGEST_PROMPT) or ""
    tokens = _whole(value, "estimated_tokens")
    hints = {name: value[name] for name in ("task_type", "complexity", "agent_type") if value.get(name) is not None}
    labels = {name: label for name in ("worker", "task_id") if (label := _label(value, name)) is not None}
    rules = context.state.rules
    # The task decides on the policy, and the policy on the model: so the task is resolved first.
    classifier = context.state.classifier
    task = resolve_task(hints_from_headers(request.headers), hints_from_metadata(hints), None, text, classifier)
    policy = rules.policy_of_task(task.task_type)
    head = RequestHead(
        model=f"{POLICY_PREFIX}{policy}",
        text=text,
        characters=len(text) if tokens is None else math.ceil(tokens * _CHARACTERS),
        messages=1,
        max_output_tokens=_whole(value, "max_tokens"),
    )
    route(parts, context, head, request.headers, metadata={**hints, **labels})
    plan = context.plan
    assert plan is not None
    health = parts.health.view(context.state.targets, parts.clock())
    return json_answer(_answer(plan, context, estimate_tokens(len(text)) if tokens is None else tokens, health))


def _answer(plan: Plan, context: RequestContext, input_tokens: int, health: HealthView) -> dict[str, Any]:
    settings, head = plan.settings, context.head
    assert settings is not None
    asked = head.max_output_tokens or 0 if head is not None else 0
    output_tokens = expected_output(asked, settings.max_tokens)

    measured = health.output_tokens if is_open(asked, settings.max_tokens) else {}

    def cost(target: Target) -> float | None:
        tokens = measured.get(target.key, output_tokens)
        nano = estimated_nano_usd(target, context.state.rules.price_of(target), input_tokens, tokens)
        return None if nano is None else nano / NANO_USD_PER_USD

    first, task = plan.first.target, plan.task
    return {
        "policy": plan.policy,
        "experiment": plan.experiment,
        "arm": plan.arm,
        "model": first.model.name,
        "provider": first.model.provider,
        "reason": plan.first.words,
        "estimated_cost": cost(first),
        "estimated_tokens": {"input": input_tokens, "output": measured.get(first.key, output_tokens)},
        "task_type": task.task_type,
        "complexity": task.complexity,
        "level": task.level,
        "alternatives": [
            {
                "model": each.target.model.name,
                "provider": each.target.model.provider,
                "reason": each.words,
                "estimated_cost": cost(each.target),
            }
            for each in plan.targets[1:]
        ],
        "skipped": [_skipped(each.key, each.code, each.words) for each in plan.struck],
        "demoted": [{"model": each.model, "code": each.code, "reason": each.words} for each in plan.demoted],
        "promoted": [{"model": each.model, "reason": each.words} for each in plan.promoted],
        "limits": {
            "max_cost_per_task": settings.max_cost_per_task,
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
        },
        "worker": context.worker,
        "task_id": context.task_id,
    }


def _skipped(key: str, code: str, words: str) -> dict[str, Any]:
    """Return a target that is left out. A model that the catalog does not have has no target, and so no provider."""
    model, separator, provider = key.rpartition("@")
    if code == "not_in_catalog" or not separator:
        model, provider = key, ""
    return {"model": model, "provider": provider.partition("#")[0] or None, "code": code, "reason": words}


def _whole(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= _MOST_TOKENS:
        raise InvalidFieldError(
            name, f"{name}: found {quote(found)}, expected a whole number from 1 to {_MOST_TOKENS:,}"
        )
    return found


def _label(value: Mapping[str, Any], name: str) -> str | None:
    text = text_field(value, name, longest=_LONGEST_LABEL)
    label = None if text is None else read_name(text, _LONGEST_LABEL)
    if text is not None and not label:
        expected = f"a text of at most {_LONGEST_LABEL} characters, none of them a control or invisible one"
        raise InvalidFieldError(name, f"{name}: found {quote(text)}, expected {expected}")
    return label
