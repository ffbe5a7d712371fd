"""A plan as JSON: the same for `POST /api/routing/test` and `instance-agent route --explain --json`. Pure."""

from collections.abc import Iterable
from typing import Any

from instance_agent.routing.constraints import RELAXATIONS
from instance_agent.routing.plan import Plan
from instance_agent.routing.struck import Struck


def struck_as_json(struck: Iterable[Struck]) -> list[dict[str, str]]:
    """Return targets that were left out, each with its reason."""
    return [{"target": each.key, "code": each.code, "reason": each.words} for each in struck]


def plan_as_json(plan: Plan, request_id: str | None) -> dict[str, Any]:
    """Return a plan with its reasons; `request_id` is None where there is no request."""
    first, task = plan.first, plan.task
    return {
        "requestId": request_id,
        "modelId": first.target.model.name,
        "provider": first.target.model.provider,
        "rule": plan.rule,
        "policy": plan.policy,
        "policyFrom": plan.policy_from,
        "agent": plan.agent,
        "experiment": plan.experiment,
        "arm": plan.arm,
        "armShare": plan.arm_share,
        "armReason": None if plan.assigned is None else plan.assigned.text,
        "kind": plan.kind,
        "reason": first.words,
        "propensity": plan.propensity,
        "method": plan.method,
        "task": {
            "type": task.task_type,
            "typeFrom": task.type_source,
            "level": task.level,
            "complexity": task.complexity,
            "levelFrom": task.level_source,
            "agentType": task.agent_type,
            "classifier": task.classifier,
            "confidence": task.confidence,
            "reasons": list(task.classification.reasons) if task.classification else [],
        },
        "targets": [
            {
                "target": planned.target.key,
                "modelId": planned.target.model.name,
                "provider": planned.target.model.provider,
                "code": planned.code,
                "reason": planned.words,
                "score": planned.ranked.score if planned.ranked else None,
                "scoreVersion": planned.score_version,
                "although": [
                    {"code": each.code, "reason": each.words} for each in plan.waived if each.key == planned.target.key
                ],
            }
            for planned in plan.targets
        ],
        "leftOut": struck_as_json(plan.struck),
        "relaxed": [{"code": code, "reason": RELAXATIONS[code]} for code in plan.relaxed],
        "passedOver": list(plan.passed_over),
        "demoted": [{"modelId": each.model, "code": each.code, "reason": each.words} for each in plan.demoted],
        "promoted": [{"modelId": each.model, "reason": each.words} for each in plan.promoted],
        "alias": plan.alias,
        "configVersion": plan.config_version,
    }
