"""The operations on experiments, and the schemas that no type describes, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from centralcloud.contracts.canary import ConditionName, Unit
from instance_agent.gateway.openapi.operation import OF_FLEET, Operation

_EXAMPLE: Final = {
    "name": "gpt-5-mini for simple tasks",
    "treatments": [{"model": "gpt-4o-mini"}],
    "scope": {"complexities": ["simple"]},
    "plan": {"margin": 0.02},
}


def _operation(summary: str, role: str, answer: str, **fields: Any) -> Operation:
    text = " ".join(filter(None, [fields.pop("text", ""), OF_FLEET]))
    return Operation(tag="experiments", summary=summary, text=text, role=role, answer=answer, **fields)


def _change(summary: str, text: str, body: str = "ExperimentChange") -> Operation:
    return _operation(
        summary, "operator", "ChangedExperiment", body=body, errors=("400", "404", "409", "422"), text=text,
        example={"reason": "as agreed"},
    )  # fmt: skip


EXPERIMENT_OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/api/experiments"): _operation(
        "List the experiments", "viewer", "ExperimentList", text="With those that have ended, until they are removed."
    ),
    ("POST", "/api/experiments"): _operation(
        "Start an experiment",
        "admin",
        "StartedExperiment",
        body="NewExperiment",
        example=_EXAMPLE,
        status="201",
        errors=("400", "409", "422"),
        text="A canary, or an A/B test with `kind` ab. Fields of the plan that are left out have defaults. With `rule` the "
        "traffic split of a rule becomes a canary.",
    ),
    ("GET", "/api/experiments/{id}"): _operation(
        "Show an experiment with its results",
        "viewer",
        "ExperimentReport",
        errors=("404",),
        text="The results are those of the newest round of the daemon. `waits_for` has the conditions of the next step, of "
        "the promotion, or of the end of a pause or a hold: all must be met. One of `guards` is enough for a pause or a "
        "roll back.",
    ),
    ("DELETE", "/api/experiments/{id}"): _operation(
        "Remove an experiment that has ended",
        "admin",
        "DeletedEntry",
        errors=("404", "409"),
        text="Its verdicts stay. One that was promoted no longer routes then; a promoted score table is published first.",
    ),
    ("POST", "/api/experiments/{id}/pause"): _change("Pause an experiment", "Every session goes to control."),
    ("POST", "/api/experiments/{id}/resume"): _change("Resume an experiment", "At its step."),
    ("POST", "/api/experiments/{id}/stop"): _change("Stop an experiment", "It ends without a winner."),
    ("POST", "/api/experiments/{id}/promote"): _change(
        "Promote a treatment by hand",
        "Whatever the evidence says, and final at once; with `hold` a canary first keeps 5% of the sessions at control for "
        "`holdSeconds`. `treatment` is needed where there are several.",
        "ExperimentPromotion",
    ),
}

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_TIME: Final = {"type": "string", "format": "date-time"}
_OBJECT: Final = {"type": "object"}


def _of(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": required.split()} if required else schema


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_RESULT: Final = _object(
    "experiment_id treatment metric facts updated_at",
    experiment_id=_TEXT,
    treatment={**_WHOLE, "description": "Its number, from 0."},
    metric=_TEXT,
    facts=_OBJECT,
    updated_at=_TIME,
)
_VERDICT: Final = _object(
    "id experiment_id at verdict facts",
    id=_WHOLE,
    experiment_id=_TEXT,
    treatment={"type": ["integer", "null"], "description": "Null: the experiment as a whole."},
    at=_TIME,
    verdict=_TEXT,
    facts=_OBJECT,
)

_CONDITION: Final = _object(
    "condition unit now needed is_met",
    condition={"enum": list(get_args(ConditionName))},
    unit={"enum": list(get_args(Unit)), "description": "evidence: e-values."},
    now={"type": "number", "description": "It is met once this has reached `needed`."},
    needed={"type": "number"},
    is_met={"type": "boolean"},
)

EXPERIMENT_SCHEMAS: Final[Mapping[str, Any]] = {
    "ExperimentList": _object("experiments count", experiments=_list(_of("Experiment")), count=_WHOLE),
    "NewExperiment": _object(
        "name",
        name=_TEXT,
        kind={"enum": ["canary", "ab"]},
        scope=_of("ExperimentScope"),
        treatments={
            **_list({**_OBJECT, "description": "name, and one of model, policy and scoreTable."}),
            "description": "Needed without `rule`.",
        },
        plan={**_OBJECT, "description": "Some fields of ExperimentPlan."},
        rule={**_TEXT, "description": "The id of a rule with a trafficSplit."},
        reason=_TEXT,
    ),
    "StartedExperiment": _object("experiment notes", experiment=_of("Experiment"), notes=_list(_TEXT)),
    "ChangedExperiment": _object("experiment", experiment=_of("Experiment")),
    "ExperimentChange": _object(reason=_TEXT),
    "ExperimentPromotion": _object(reason=_TEXT, treatment=_TEXT, hold={"type": "boolean", "default": False}),
    "ExperimentReport": _object(
        "experiment waits_for guards results verdicts seen_at",
        experiment=_of("Experiment"),
        waits_for={**_list(_CONDITION), "description": "Empty: the daemon does not bring it further."},
        guards=_list(_object("treatment conditions", treatment=_TEXT, conditions=_list(_CONDITION))),
        results=_list(_RESULT),
        verdicts=_list(_VERDICT),
        seen_at={"type": ["string", "null"], "format": "date-time", "description": "The daemon's newest round."},
    ),
}
