"""The beginning of an experiment: from what an operator asks for, with defaults for the rest. Pure.

A gateway and a command begin experiments in the same way. The time, the random token and the numbers of the fleet are passed
in.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.experiment import (
    Experiment,
    ExperimentPlan,
    ExperimentScope,
    Kind,
    Treatment,
    check_scope,
    parse_experiment,
)
from centralcloud.contracts.fleet_configuration.rule import RoutingRule
from centralcloud.contracts.fleet_configuration.values import MAX_LABEL_LENGTH, Entry, Label, convert, to_body
from centralcloud.contracts.limits import COMPLEXITIES

#: The margin follows from the fleet's traffic: a small one takes long to show, and where many requests fail even longer.
_MARGIN: Final = 0.02
_MARGIN_OF_BUSY: Final = 0.01
_MARGIN_OF_FAILING: Final = 0.03
_BUSY_PER_MINUTE: Final = 500.0
_FAILING_BELOW: Final = 0.85
_LONGEST_SLUG: Final = 60
_ALL_COMPLEXITIES: Final = frozenset(COMPLEXITIES)
_MEANS_TO_CAP: Final = 3.0


class Traffic(NamedTuple):
    """The traffic in the scope of an experiment lately, as the fleet's records have it.

    Attributes:
        per_minute: requests.
        success: the share of successes, 0 to 1; None: there was no outcome.
        mean_ms: time of an answer; None: not known.
        mean_cost_usd: of a request; None: not known.
    """

    per_minute: float
    success: float | None
    mean_ms: float | None = None
    mean_cost_usd: float | None = None


class Begun(NamedTuple):
    """An experiment that begins.

    Attributes:
        attempt: how many experiments of such a treatment and scope there were with this one; alpha is divided by it.
        notes: what was derived, in sentences.
    """

    experiment: Experiment
    attempt: int
    notes: tuple[str, ...]


class _Asked(Entry, frozen=True, kw_only=True):
    """The JSON of an experiment that is asked for. `parse_experiment` checks the values."""

    name: Label
    kind: Kind = "canary"
    scope: dict[str, Any] | None = None
    treatments: list[dict[str, Any]]
    plan: dict[str, Any] | None = None


def begin(
    value: Any, field: str, *, now: datetime, token: str, earlier: Iterable[Experiment], traffic: Traffic | None
) -> Begun:
    """Return the experiment that an operator asks for.

    Args:
        value: its JSON: `name` and `treatments`, and perhaps `kind`, `scope` and some fields of `plan`.
        field: path of the value, which begins the path in an error.
        token: at least 16 random characters: they become the salt, and the end of the id.
        earlier: every experiment that there ever was.
        traffic: in the scope; None: not known.

    Raises:
        ContractError: names the path of the field.
    """
    asked = convert(value, _Asked, field)
    treatments = [_named(each) for each in asked.treatments]
    plan = dict(asked.plan or {})
    plan.setdefault("steps", _steps(asked.kind, len(treatments)))
    notes = []
    if "margin" not in plan:
        plan["margin"] = default_margin(traffic)
        notes.append(_about_margin(plan["margin"], traffic))
    for name, mean, unit in (
        ("latencyCapMs", traffic and traffic.mean_ms, "ms"),
        ("costCapUsd", traffic and traffic.mean_cost_usd, "USD"),
    ):
        if name not in plan and mean:
            plan[name] = default_cap(mean)
            notes.append(f"{name} {_short(plan[name])}: the mean in the last day is {_short(mean)} {unit}")
    share = plan["steps"][0] if isinstance(plan["steps"], list | tuple) and plan["steps"] else 0.0
    at = now.isoformat()
    body = {
        "id": f"{_slug(asked.name)}-{token[-6:]}",
        "name": asked.name,
        "kind": asked.kind,
        "scope": asked.scope or {},
        "treatments": treatments,
        "plan": plan,
        "salt": token,
        "stage": {"status": "running", "share": share, "since": at, "began": at, "reason": "started", "byHand": True},
    }
    experiment = parse_experiment(body, field)
    attempt = 1 + restarts(experiment, earlier)
    if attempt > 1:
        experiment, note = _corrected(experiment, attempt)
        notes.append(note)
    return Begun(experiment, attempt, tuple(notes))


def default_margin(traffic: Traffic | None) -> float:
    """Return the margin of success for a traffic: 0.03 where many requests fail, 0.01 where there are many, else 0.02."""
    if traffic is None:
        return _MARGIN
    if traffic.success is not None and traffic.success < _FAILING_BELOW:
        return _MARGIN_OF_FAILING
    return _MARGIN_OF_BUSY if traffic.per_minute > _BUSY_PER_MINUTE else _MARGIN


def default_cap(mean: float) -> float:
    """Return the cap of times or costs with a mean: three times as much, rounded up to 1, 2 or 5 times a power of 10.

    Outcomes are divided by their cap. Where they are all below 1/50 of it, their differences do not show.
    """
    least = _MEANS_TO_CAP * mean
    power = 10.0 ** math.floor(math.log10(least))
    return next((round(each * power, 12) for each in (1, 2, 5) if each * power >= least), 10 * power)


def restarts(experiment: Experiment, earlier: Iterable[Experiment]) -> int:
    """Return how many of the earlier experiments tried one of these treatments in this scope, however it was written.

    An experiment that is begun again until it wins errs as often as it is begun: alpha is divided.
    """
    tried = {_content(each) for each in experiment.treatments}
    scope = _requests_of(experiment.scope)
    return sum(
        each.salt != experiment.salt
        and _requests_of(each.scope) == scope
        and any(_content(treatment) in tried for treatment in each.treatments)
        for each in earlier
    )


def scope_of(value: Any, field: str) -> ExperimentScope:
    """Return the scope in the JSON of an experiment that is asked for.

    Raises:
        ContractError: names the path of the field.
    """
    given = value.get("scope") if isinstance(value, Mapping) else None
    if given is None:
        return ExperimentScope()
    scope = convert(given, ExperimentScope, f"{field}.scope")
    check_scope(scope, f"{field}.scope")  # the database is asked for its traffic before the whole is checked
    return scope


def with_rule(
    rules: Iterable[RoutingRule], rule: str | None, asked: Mapping[str, Any]
) -> tuple[Mapping[str, Any], RoutingRule | None]:
    """Return what is asked for, with the parts that follow from a rule, and the rule as it will be.

    Args:
        rule: its id, or its name where only one has it; None: nothing follows from a rule.
        asked: fields of the experiment, which count more than what follows from the rule.

    Raises:
        ContractError: there is no such rule, or as of `canary_of_rule`.
    """
    if rule is None:
        return asked, None
    known = list(rules)
    found = [each for each in known if each.id == rule] or [each for each in known if each.name == rule]
    if len(found) != 1:
        split = ", ".join(each.id for each in known if each.traffic_split is not None) or "none has one"
        raise ContractError("rule", quote(rule), f"the id of a rule with a trafficSplit: {split}")
    derived, changed = canary_of_rule(found[0])
    plan = {**derived["plan"], **convert(asked.get("plan") or {}, dict[str, Any], "plan")}
    return {**derived, **asked, "plan": plan}, changed


def canary_of_rule(rule: RoutingRule) -> tuple[dict[str, Any], RoutingRule]:
    """Return the canary that judges the traffic split of a rule, as JSON that `begin` takes, and the rule without the split.

    The experiment ramps to the share that the split gave its canary. The rule keeps that target for failures alone:
    otherwise control would be served by it, too.

    Raises:
        ContractError: the rule has no split, one of more than half, or a condition that a scope cannot have.
    """
    path = f"routingRules[{quote(rule.id)}]"
    target, split = rule.canary, rule.traffic_split
    if target is None or split is None:
        raise ContractError(f"{path}.trafficSplit", "nothing", "a split, whose canary is the treatment")
    if not 0 < split.canary <= 50:
        raise ContractError(f"{path}.trafficSplit.canary", f"{split.canary:g}", "more than 0 and at most 50")
    share = split.canary / 100
    smaller = [each for each in ExperimentPlan().steps if each < share]
    asked = {
        "name": f"canary of {rule.name}"[:MAX_LABEL_LENGTH],
        "scope": _scope_of_rule(rule, f"{path}.condition"),
        "treatments": [{"model": target.model_id}],
        "plan": {"steps": [*smaller, share]},
    }
    targets = tuple(
        type(each)(model_id=each.model_id, weight=0.0, fallback_order=each.fallback_order) if each is target else each
        for each in rule.target_models
    )
    changed = {**to_body(rule), "targetModels": [to_body(each) for each in targets]}
    del changed["trafficSplit"]
    return asked, convert(changed, RoutingRule, path)


def _scope_of_rule(rule: RoutingRule, path: str) -> dict[str, Any]:
    condition = rule.condition
    other = {
        "agentType": condition.agent_type,
        "requestType": condition.request_type,
        "contentLength": condition.content_length,
        "tags": condition.tags,
        "timeOfDay": condition.time_of_day,
        "any_of": condition.any_of,
        "not": condition.not_,
        "complexity": None if isinstance(condition.complexity, tuple) else condition.complexity,
    }
    for name, found in other.items():
        if found:
            expected = "only workspace, taskType and levels of complexity: the scope of an experiment has nothing else"
            raise ContractError(f"{path}.{name}", "a condition", expected)
    levels = condition.complexity if isinstance(condition.complexity, tuple) else ()
    return {
        "complexities": list(levels),
        "taskTypes": list(condition.task_type),
        "workspaces": list(condition.workspace),
    }


def _named(treatment: dict[str, Any]) -> dict[str, Any]:
    """Return a treatment with a name: as its model or policy, where it has none."""
    if "name" in treatment:
        return treatment
    found = next((treatment[each] for each in ("model", "policy") if isinstance(treatment.get(each), str)), None)
    return {**treatment, "name": "score-table" if found is None else found[:MAX_LABEL_LENGTH]}


def _steps(kind: Kind, treatments: int) -> list[float]:
    """Return the default shares: control has no less than a treatment."""
    most = 1 / (treatments + 1)
    return [most] if kind == "ab" else [each for each in ExperimentPlan().steps if each <= most]


def _content(treatment: Treatment) -> tuple[Any, ...]:
    """Return what a treatment is, whatever its name and the order of its scores."""
    table = {(each.model_id, each.complexity): (each.score, each.mean, each.n_eff) for each in treatment.score_table}
    return treatment.model, treatment.policy, frozenset(table.items())


def _requests_of(scope: ExperimentScope) -> tuple[frozenset[str], ...]:
    """Return which requests a scope has: in any order, and with all complexities as with none named."""
    found = [scope.complexities, scope.task_types, scope.policies, scope.workspaces, scope.requested_models]
    sets = [frozenset[str](each) for each in found]
    return tuple(frozenset() if each == _ALL_COMPLEXITIES else each for each in sets)


def _corrected(experiment: Experiment, attempt: int) -> tuple[Experiment, str]:
    plan = experiment.plan
    alpha = plan.alpha / attempt
    body = to_body(experiment)
    body["plan"] = {**body["plan"], "alpha": alpha}
    note = (
        f"experiment number {attempt} of this treatment and scope: alpha {plan.alpha:g} / {attempt} = {alpha:.3g}, as "
        "each attempt may err"
    )
    return convert(body, Experiment, "experiment"), note


def _about_margin(margin: float, traffic: Traffic | None) -> str:
    said = f"margin {100 * margin:g} point{'' if margin == _MARGIN_OF_BUSY else 's'} of success"
    if traffic is None:
        return f"{said}: the traffic of the scope is not known"
    success = "no outcomes" if traffic.success is None else f"{traffic.success:.1%} of them successes"
    return f"{said}: {_short(traffic.per_minute)} requests a minute in the last day, {success}"


def _short(number: float) -> str:
    """Return a number with three digits that count, without an exponent: "1,190", "0.00286"."""
    return f"{Decimal(f'{number:.3g}'):,f}"


def _slug(name: str) -> str:
    """Return a name in letters, digits and hyphens, for an id that a shell and an address take as it is."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    return found or "experiment"
