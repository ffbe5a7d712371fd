"""Words for the codes of plans, attempts, targets and budgets. Pure."""

from collections.abc import Mapping
from typing import Final

#: Why a plan leaves a target out: every code of `instance_agent.routing`.
_STRUCK: Final = {
    "inactive": "an operator has made it inactive",
    "deprecated": "it is deprecated: used only when a client names it",
    "model_type": "it is a model for another kind of request",
    "provider_unavailable": "the gateway cannot use its provider: no key, or not described",
    "input": "it does not accept this kind of input",
    "not_in_catalog": "the catalog of this gateway does not have it",
    "workspace_restriction": "the workspace may not use it",
    "compliance": "it lacks a tag that the workspace requires",
    "policy_cost": "it would cost more than the policy allows for one request",
    "budget": "a budget is used up, or has no room for its price",
    "no_score": "it has no score for this complexity",
    "quality": "it is not known to meet the workspace's requirements for quality",
    "agent_requirements": "it is not known to meet the requirements of the agent type",
    "unhealthy": "it is reported unhealthy",
    "breaker_open": "its circuit breaker is open: calls of it have failed",
    "context_window": "the prompt may be too long for it",
    "capability_asked": "it lacks a capability that the caller asked for",
    "capability_needed": "it is not known to have a capability that the request needs",
}
#: Constraints that a plan has given up, because no target fulfils them.
_RELAXED: Final = {
    "no_score": "no suitable model has a score for the complexity: the scores for simple tasks count",
    "quality": "no suitable model is known to meet the workspace's requirements for quality",
    "agent_requirements": "no suitable model is known to meet the requirements of the agent type",
    "unhealthy": "every suitable model is reported unhealthy",
    "breaker_open": "the circuit breaker of every suitable model is open",
    "context_window": "the prompt may be too long for every suitable model",
    "capability_asked": "no suitable model has all capabilities that the caller asked for",
    "capability_needed": "no suitable model is known to have all capabilities that the request needs",
}
#: Why a target stands where it stands in a plan; for the first one also the kind of the plan.
_PLACES: Final = {
    "best": "the best by its score",
    "probe": "tried to check its score again",
    "exploration": "drawn at random, to explore",
    "session": "answered the last turn of the session",
    "forced": "the client named it",
    "experiment": "the model of a treatment",
    "policy": "the first of the policy",
    "rule": "the first of the rule",
    "canary": "the canary of the rule",
    "agent": "the first preference of the agent",
    "endpoint": "another endpoint of the first model",
    "fallback": "the next, should those before it fail",
    "downgrade": "a cheaper one, should those before it fail",
    "unscored": "has no score for this complexity: after those that have one",
}
_METHODS: Final = {
    "thompson": "drawn in proportion to its chance to be the best",
    "greedy": "the best value, without a draw",
}
_SOURCES: Final = {
    "header": "a header of the request",
    "metadata": "the metadata of the request",
    "model": "the name of the model that was asked for",
    "classifier": "the classifier, from the text",
    "default": "no source said anything, so the default counts",
}
_POLICY_SOURCES: Final = {
    "client": "the client asked for it",
    "rule": "the rule names it",
    "task type": "the type of the task has it",
    "workspace": "the workspace has it",
}
_SESSIONS: Final = {
    "kept": "the session stays with its model",
    "left_for_better": "the session leaves its model for a better one",
    "left_struck": "the session leaves its model, which cannot be used now",
}
_ERRORS: Final = {
    "provider": "the provider failed",
    "timeout": "no answer in time",
    "policy": "refused by a content filter or by the model",
    "caller": "the caller's request was wrong, or the caller went away",
}
#: A whole answer that counts as a failure: the gateway has checked it, such as for the JSON that was asked for.
FAILED_CHECK: Final = "its answer failed a check"
_FINISHES: Final = {
    "stop": "complete",
    "end_turn": "complete",
    "length": "cut off by its length",
    "max_tokens": "cut off by its length",
    "tool_calls": "asks for a tool",
    "tool_use": "asks for a tool",
    "function_call": "asks for a function",
    "content_filter": "stopped by a content filter",
}
_BREAKERS: Final = {
    "closed": "closed: calls go through",
    "open": "open: no calls",
    "cooling": "open: the provider asked to wait",
    "misconfigured": "open: its key or name is wrong",
    "probing": "half-open: one call probes it",
}
_CHECKS: Final = {"healthy": "answers checks", "unhealthy": "fails checks", "unknown": "check without a result"}
_STATUSES: Final = {
    "active": "active",
    "inactive": "inactive",
    "deprecated": "deprecated",
    "maintenance": "in maintenance",
}
_ORDERS: Final = {
    "priority": "in their order",
    "learned": "the one that learning prefers",
    "local_first": "local ones first for simple tasks, reasoning ones for complex tasks",
}
_PERIODS: Final = {"daily": "a day", "weekly": "a week", "monthly": "a month", "task": "each request"}
_LETTERS: Final = str.maketrans("_", " ")


def struck_words(code: str) -> str:
    """Return why a plan leaves a target out."""
    return _words(_STRUCK, code)


def relaxed_words(code: str) -> str:
    """Return which constraint a plan has given up, and why."""
    return _words(_RELAXED, code)


def place_words(code: str) -> str:
    """Return why a target stands where it stands in a plan."""
    return _words(_PLACES, code)


def method_words(method: str) -> str:
    """Return how the best target was found."""
    return _words(_METHODS, method)


def source_words(source: str) -> str:
    """Return where the type or the complexity of a task comes from."""
    return _words(_SOURCES, source)


def policy_source_words(source: str) -> str:
    """Return why a policy applied."""
    return _words(_POLICY_SOURCES, source)


def session_words(affinity: str) -> str:
    """Return what became of the session's model."""
    return _words(_SESSIONS, affinity)


def error_words(kind: str | None) -> str:
    """Return what failed, from the kind of an error: "the provider failed"."""
    return "it failed" if kind is None else _words(_ERRORS, kind)


def finish_words(reason: str) -> str:
    """Return how an answer ended."""
    return _words(_FINISHES, reason)


def breaker_words(state: str) -> str:
    """Return the state of a circuit breaker."""
    return _words(_BREAKERS, state)


def check_words(state: str) -> str:
    """Return the result of a health check."""
    return _words(_CHECKS, state)


def status_words(status: str) -> str:
    """Return the status of a registered model."""
    return _words(_STATUSES, status)


def order_words(order: str) -> str:
    """Return the order of a policy's models."""
    return _words(_ORDERS, order)


def period_words(period: str) -> str:
    """Return the period of a budget: "a day"."""
    return _words(_PERIODS, period)


def _words(known: Mapping[str, str], code: str) -> str:
    """Return the words for a code; one that is not known, of a newer program, without its underscores."""
    return known.get(code) or code.translate(_LETTERS)
