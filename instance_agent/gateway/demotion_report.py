"""Demotions of now: in which policies models are tried last, because their learned scores have fallen. Pure."""

from typing import Any

from centralcloud.contracts import COMPLEXITIES
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.routing.demotion import demotions
from instance_agent.routing.rules import RoutingRules


def demotions_of(rules: RoutingRules, catalog: CatalogSnapshot) -> list[dict[str, Any]]:
    """Return the active policies by priority with demoted models, for each complexity, in the JSON form of /api.

    `order` has the models as they are tried while all of them can be: those below a demoted one have moved up.
    """
    found = []
    for name in rules.policies:
        # The first stage has the models of the policy itself, unless the catalog has none of them.
        stage = next(iter(rules.named(name).stages), None)
        if stage is None or stage.order != "priority" or stage.policy is None or stage.policy.name != name:
            continue
        models = list(dict.fromkeys(each.targets[0].model.name for each in stage.candidates))
        for level in COMPLEXITIES:
            fallen = demotions([(each, catalog.learned.of(each, level)) for each in models])
            if fallen:
                demoted = [{"modelId": each.model, "code": each.code, "reason": each.words} for each in fallen.values()]
                order = [each for each in models if each not in fallen] + [each for each in models if each in fallen]
                found.append({"policy": name, "complexity": level, "order": order, "demoted": demoted})
    return found
