"""The model of a treatment in plans: it is tried first, whatever its health, and then what control would try. Pure."""

import random
from collections.abc import Sequence

from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target
from instance_agent.routing.constraints import Usable, strike_of_health
from instance_agent.routing.explanation import TargetOrder
from instance_agent.routing.listed import ranked_target
from instance_agent.routing.plan import PlannedTarget
from instance_agent.routing.prepared import ModelTargets
from instance_agent.routing.refusals import reasons
from instance_agent.routing.request import HealthView
from instance_agent.routing.struck import Struck

#: Codes of the targets of control that stay behind a treatment's model; the others become fallbacks.
_KEPT_CODES = frozenset({"endpoint", "downgrade", "unscored"})
#: Orders of control for which the whole order is kept.
_MOST_ORDERS = 64


class NamedModel:
    """The targets of one model that was decided on by its name: healthy ones first, and the others all the same.

    Attributes:
        fixed: whether every plan has them in the same order.
        waived: why some of them should not be called now.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        level: str,
        snapshot: CatalogSnapshot,
        health: HealthView,
        code: str,
        note: str | None = None,
    ) -> None:
        """Create it.

        Args:
            targets: of the model, at least one.
            level: the complexity of the task.
            code: the reason for the model; `note`: in words.
        """
        healthy = [each for each in targets if each.key not in health.breaker_open and each.key not in health.unhealthy]
        others = [each for each in targets if each not in healthy]
        self._code, self._note = code, note
        self._groups = [
            ModelTargets(ranked_target(group[0], level, snapshot), group) for group in (healthy, others) if group
        ]
        self.fixed = all(group.fixed for group in self._groups)
        self.waived: tuple[Struck, ...] = tuple(
            found for target in targets if (found := strike_of_health(target, health)) is not None
        )

    def first(self, rng: random.Random) -> list[PlannedTarget]:
        """Return the targets for a plan that begins with the model; `rng` draws among endpoints of the same type."""
        planned: list[PlannedTarget] = []
        for group in self._groups:
            planned += group.first("endpoint", rng) if planned else group.first(self._code, rng, self._note)
        return planned


class ModelFirst:
    """The model of a treatment for requests of one shape.

    Attributes:
        obstacle: why it cannot serve them; None: it can.
        struck: its targets that are left out.
        waived: why some of the others should not be called now, and are.
    """

    def __init__(self, usable: Usable, level: str, snapshot: CatalogSnapshot, health: HealthView, note: str) -> None:
        """Create it; `usable`: as if every target were healthy."""
        self.struck = usable.struck
        self.waived: tuple[Struck, ...] = ()
        self.obstacle: str | None = None
        if not usable.targets:
            self.obstacle = reasons(usable.struck)
        elif usable.relaxed:
            self.obstacle = reasons(usable.waived)
        else:
            self._model = NamedModel(usable.targets, level, snapshot, health, "experiment", note)
            self.waived = self._model.waived
        self._orders: dict[int, tuple[tuple[PlannedTarget, ...], TargetOrder]] = {}

    def order(self, control: tuple[PlannedTarget, ...], rng: random.Random) -> tuple[PlannedTarget, ...]:
        """Return the targets of a plan: those of the model, then those that control would try."""
        if not (self._model.fixed and isinstance(control, TargetOrder)):
            return self._order(control, rng)
        found = self._orders.get(id(control))  # an order that is kept lives as long as this entry
        if found is None:
            if len(self._orders) >= _MOST_ORDERS:
                self._orders.clear()
            found = self._orders[id(control)] = (control, TargetOrder(self._order(control, rng)))
        return found[1]

    def _order(self, control: tuple[PlannedTarget, ...], rng: random.Random) -> tuple[PlannedTarget, ...]:
        planned = self._model.first(rng)
        own = {each.target.key for each in planned}
        for each in control:
            if each.target.key not in own:
                code = each.code if each.code in _KEPT_CODES else "fallback"
                planned.append(PlannedTarget(each.target, code, each.ranked, each.note))
        return tuple(planned)
