"""Errors of requests without a plan, with the reasons against each target. Pure."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from centralcloud.contracts.errors import quote
from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.routing.plan import PlanError
from instance_agent.routing.restrictions import RESTRICTIONS
from instance_agent.routing.routes import Route
from instance_agent.routing.struck import Struck

#: Reasons against a target that lie in the request: another request could use it.
OF_THE_REQUEST: Final = frozenset({"model_type", "input", "capability_needed", "capability_asked", "context_window"})
_MAX_NAMES: Final = 20
#: Names, and characters of the client's, that are compared for one that it may have meant; and how near they have to be.
_MAX_COMPARED: Final = 500
_MAX_COMPARED_CHARACTERS: Final = 100
_NEAR: Final = 0.75
#: The longest list of reasons against targets in one message.
_MAX_CHARACTERS: Final = 160


def refusal(route: Route | None, struck: tuple[Struck, ...], dear: tuple[Struck, ...]) -> PlanError:
    """Return the error of a request that no target can take.

    Args:
        route: of the request.
        struck: every target, with the reason.
        dear: those that limits of money leave out; empty where there would be no target without them either.
    """
    name = ""
    if route is not None:
        kind, found = ("rule", route.rule) if route.rule is not None else (route.kind, route.policy or route.agent)
        name = f"{kind} {found}: "
    if dear:
        code = "budget" if any(each.code == "budget" for each in dear) else "policy_cost"
        return PlanError(code, f"{name}every model that could be used is too dear: {reasons(dear)}", struck)
    codes = {each.code for each in struck}
    restricted = codes & RESTRICTIONS
    if restricted and codes <= RESTRICTIONS | OF_THE_REQUEST | {"not_in_catalog"}:
        kept = tuple(each for each in struck if each.code in restricted)
        code = "workspace_restriction" if "workspace_restriction" in restricted else "compliance"
        return PlanError(code, f"{name}no model may be used for this request: {reasons(kept)}", struck)
    return PlanError("no_target", _no_target(struck, name), struck)


def forced_refusal(model: str, struck: tuple[Struck, ...]) -> PlanError:
    """Return the error of a request whose client named a model that cannot be used."""
    codes = {each.code for each in struck}
    code = "model_unusable"
    if codes <= RESTRICTIONS:
        code = "workspace_restriction" if "workspace_restriction" in codes else "compliance"
    elif codes == {"budget"}:
        code = "budget"
    return PlanError(code, f"model {model} cannot be used: {reasons(struck)}", struck)


def not_found(name: str, configuration: CatalogConfiguration) -> str:
    names, aliases = sorted(configuration.targets), configuration.aliases
    # The words of a client: comparing them costs time by their length and by the number of names.
    possible = [*AUTO_NAMES, *names[:_MAX_COMPARED], *list(aliases.plain())[:_MAX_COMPARED]]
    near = get_close_matches(name[:_MAX_COMPARED_CHARACTERS], possible, n=1, cutoff=_NEAR)
    hint = f" (did you mean {near[0]}?)" if near else ""
    patterns = aliases.patterns()
    some = f", an alias ({_some(patterns)})" if patterns else ""
    providers = ", ".join(sorted(configuration.providers)) or "none"
    expected = (
        f"expected {', '.join(AUTO_NAMES)}, one of the catalog ({_some(names)}){some}, or PROVIDER/MODEL with one of "
    )
    return f"model: found {quote(name)}{hint}, {expected}{providers}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _no_target(struck: tuple[Struck, ...], name: str) -> str:
    if not struck and not name:
        return "the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG"
    return f"{name}no model can be used for this request: {reasons(struck)}"


def reasons(struck: tuple[Struck, ...]) -> str:
    """Return why targets are left out: each reason once, with the target, or with the number of targets that share it."""
    groups: dict[str, list[str]] = {}
    for each in struck:
        groups.setdefault(each.words, []).append(each.key)
    named: list[str] = []
    left = _MAX_CHARACTERS
    for words, keys in sorted(groups.items(), key=lambda group: -len(group[1])):
        text = f"{keys[0] if len(keys) == 1 else f'{len(keys)} targets'}: {words}"
        left -= len(text)
        if named and left < 0:
            break
        named.append(text)
    more = len(groups) - len(named)
    return "; ".join(named) + (f"; and {more} more {'reason' if more == 1 else 'reasons'}" if more else "")
