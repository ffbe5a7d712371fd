"""The constraints of a request: why a target cannot be used, and which constraint is given up when none can. Pure.

A constraint is either firm or can be relaxed. A target that breaks a firm one is never used. When every other target
breaks some that can be relaxed, those are used that break the least, in the order of `RELAXATIONS`: the first is given up
first, and one later in the list weighs more than all before it together. Targets that only lack a score for the complexity
stay in the plan, after all others: they are tried before the request fails.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from instance_agent.catalog.configuration import Target
from instance_agent.routing.request import HealthView
from instance_agent.routing.struck import Struck

#: Constraints that can be relaxed, the first one first, each with the words that report it.
RELAXATIONS: Final[Mapping[str, str]] = {
    "no_score": "no suitable model has a score for the complexity; the scores for simple tasks are used",
    "quality": "no suitable model is known to meet the workspace's requirements for quality",
    "agent_requirements": "no suitable model is known to meet the requirements of the agent type",
    "unhealthy": "every suitable model is reported unhealthy",
    "breaker_open": "the circuit breaker of every suitable target is open",
    "context_window": "the prompt may be too long for every suitable model",
    "capability_asked": "no suitable model has all capabilities that the caller asked for",
    "capability_needed": "no suitable model is known to have all capabilities that the request needs",
}
#: Inputs that a model either accepts or refuses: never relaxed.
INPUTS: Final = frozenset({"vision", "audio", "video", "documents"})
_BREAKER_OPEN: Final = "its circuit breaker is open"
#: Two names of one capability.
_TOOLS: Final = frozenset({"tools", "function_calling"})
_TEXT: Final = frozenset({"text-generation"})
_BIT: Final = {code: 1 << position for position, code in enumerate(RELAXATIONS)}
_CODES: Final = tuple(RELAXATIONS)


class Shape(NamedTuple):
    """A request, as far as its constraints depend on it: requests of one shape have the same targets.

    Attributes:
        scored_as: the complexity.
        needs, asked: capabilities that the content needs, and that the caller asked for.
        bucket: the number of context windows of the catalog that are too small for the request.
    """

    scored_as: str
    needs: tuple[str, ...]
    asked: tuple[str, ...]
    model_type: str
    bucket: int


class Checks(NamedTuple):
    """Constraints that do not depend on the shape of a request alone.

    Attributes:
        restriction: returns why a workspace may not use a target; None: it may.
        left_out: keys of targets that limits of money leave out; the caller has the reasons.
        scored: keys of the targets that need a score for the complexity; None: all of them.
        quality, agent: return why a target does not fulfil the requirements of the workspace, and of the agent type.
    """

    restriction: Callable[[Target], Struck | None] | None = None
    left_out: frozenset[str] = frozenset()
    scored: frozenset[str] | None = None
    quality: Callable[[Target], str | None] | None = None
    agent: Callable[[Target], str | None] | None = None


NO_CHECKS: Final = Checks()


class Usable(NamedTuple):
    """The targets that fulfil the constraints, in the order of the catalog.

    Attributes:
        targets: none when every target breaks a firm constraint.
        tail: those that follow them: they lack a score for the complexity, too, and have one for simple tasks.
        struck: the other targets.
        relaxed: the constraints that were given up, in the order of `RELAXATIONS`.
        waived: why each of the targets breaks each of those: they are used all the same.
    """

    targets: tuple[Target, ...]
    tail: tuple[Target, ...]
    struck: tuple[Struck, ...]
    relaxed: tuple[str, ...]
    waived: tuple[Struck, ...] = ()


def capabilities_of(target: Target) -> frozenset[str]:
    """Return the capabilities of a target's model; ``tools`` and ``function_calling`` are the same.

    Every model but an embedding one has ``text-generation``, as the model router's documentation calls it.
    """
    own = target.model.capabilities
    if target.model.model_type != "embedding":
        own = own | _TEXT
    return own | _TOOLS if own & _TOOLS else own


def firm_strike(target: Target, model_type: str, *, forced: bool = False) -> Struck | None:
    """Return why a target can never be used for a type of requests; None: it can.

    Args:
        target: of the catalog.
        model_type: that the request needs.
        forced: whether the client named the model: a deprecated one is used then.
    """
    model = target.model
    if model.status == "inactive":
        return Struck(target.key, "inactive", "an operator has set it to inactive")
    if model.status == "deprecated" and not forced:
        return Struck(target.key, "deprecated", "it is deprecated: used only when a client names it")
    if model.model_type != model_type and {model.model_type, model_type} != {"chat", "completion"}:
        return Struck(target.key, "model_type", f"it is a model for {model.model_type}, the request needs {model_type}")
    if target.problem is not None:
        return Struck(target.key, "provider_unavailable", target.reason or target.problem)
    return None


def usable_targets(
    targets: Sequence[Target],
    shape: Shape,
    windows: Sequence[int],
    health: HealthView,
    score: Callable[[Target, str], float | None],
    checks: Checks = NO_CHECKS,
) -> Usable:
    """Return the targets that a request of a shape can use.

    Args:
        targets: of the catalog.
        shape: of the request.
        windows: the context windows of the catalog, ascending, each once.
        health: of the targets.
        score: returns the score of a target for a complexity.
        checks: further constraints.
    """
    needs, asked = frozenset(shape.needs), frozenset(shape.asked)
    inputs = needs & INPUTS
    needed = windows[shape.bucket - 1] if shape.bucket else 0
    struck: list[Struck] = []
    broken: list[tuple[Target, int]] = []
    for target in targets:
        if target.key in checks.left_out:
            continue
        found = checks.restriction(target) if checks.restriction is not None else None
        found = found or firm_strike(target, shape.model_type)
        own = capabilities_of(target)
        if found is None and not own >= inputs:
            found = Struck(target.key, "input", f"it does not accept {', '.join(sorted(inputs - own))}")
        mask = 0
        scored = checks.scored is None or target.key in checks.scored
        if found is None and scored and score(target, shape.scored_as) is None:
            mask = _BIT["no_score"]
            if score(target, "simple") is None:
                found = Struck(
                    target.key, "no_score", f"it has no score for {shape.scored_as} tasks and none for simple ones"
                )
        if found is not None:
            struck.append(found)
            continue
        if checks.quality is not None and checks.quality(target) is not None:
            mask |= _BIT["quality"]
        if checks.agent is not None and checks.agent(target) is not None:
            mask |= _BIT["agent_requirements"]
        window = target.model.context_window
        if target.key in health.unhealthy or target.model.name in health.unhealthy:
            mask |= _BIT["unhealthy"]
        if target.key in health.breaker_open:
            mask |= _BIT["breaker_open"]
        if window is not None and window <= needed:
            mask |= _BIT["context_window"]
        if not own >= asked:
            mask |= _BIT["capability_asked"]
        if not own >= needs:
            mask |= _BIT["capability_needed"]
        broken.append((target, mask))
    least = min((mask for _, mask in broken), default=0)
    # No other target breaks a part of these: it would break less.
    kept = tuple(target for target, mask in broken if mask == least)
    tail = tuple(target for target, mask in broken if mask == least | _BIT["no_score"] != least)
    struck += [
        _relaxable(target, mask, shape, health, checks)
        for target, mask in broken
        if mask not in (least, least | _BIT["no_score"])
    ]
    relaxed = tuple(code for code, bit in _BIT.items() if least & bit)
    waived = tuple(_broken(target, code, shape, health, checks) for target in (*kept, *tail) for code in relaxed)
    return Usable(kept, tail, tuple(struck), relaxed, waived)


def strike_of_health(target: Target, health: HealthView) -> Struck | None:
    """Return why a target should not be called now; None: it is healthy."""
    is_open = target.key in health.breaker_open
    posted = health.unhealthy.get(target.key) or health.unhealthy.get(target.model.name)
    code, words = ("breaker_open", _BREAKER_OPEN) if is_open else ("unhealthy", posted)
    return None if words is None else Struck(target.key, code, words)


def _relaxable(target: Target, mask: int, shape: Shape, health: HealthView, checks: Checks) -> Struck:
    """Return the weightiest reason among those that could have been relaxed."""
    return _broken(target, _CODES[mask.bit_length() - 1], shape, health, checks)


def _broken(target: Target, code: str, shape: Shape, health: HealthView, checks: Checks) -> Struck:
    """Return why a target breaks one constraint of those that can be relaxed."""
    own = capabilities_of(target)
    requirement = {"quality": checks.quality, "agent_requirements": checks.agent}.get(code)
    if requirement is not None:
        words = requirement(target) or ""
    elif code == "unhealthy":
        words = health.unhealthy.get(target.key) or health.unhealthy[target.model.name]
    elif code == "breaker_open":
        words = _BREAKER_OPEN
    elif code == "no_score":
        words = f"it has no score for {shape.scored_as} tasks"
    elif code == "context_window":
        words = f"the request needs more than its context window of {target.model.context_window} tokens"
    else:
        missing = frozenset(shape.asked if code == "capability_asked" else shape.needs) - own
        words = f"it does not have {', '.join(sorted(missing))}"
    return Struck(target.key, code, words)
