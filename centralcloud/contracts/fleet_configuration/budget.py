"""A budget: how much a workspace, a key, a policy, a worker or the fleet may spend in a period, and what happens then."""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.condition import check_timezone
from centralcloud.contracts.fleet_configuration.model import check_model_names
from centralcloud.contracts.fleet_configuration.money import Amount, to_nano_usd
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    Name,
    check_name,
    check_size,
    convert,
    plain,
)

#: ``exploration`` is the extra cost of the fleet's probes and choices at random, over the cheapest model that could be used.
BudgetScope = Literal["fleet", "workspace", "key", "policy", "worker", "exploration"]
#: Scopes of which there is one.
SINGLE_SCOPES: Final[frozenset[BudgetScope]] = frozenset({"fleet", "exploration"})
Period = Literal["daily", "weekly", "monthly", "task"]
OnLimit = Literal["stop", "free_only", "cheap"]
OnDatabaseLoss = Literal["stop", "allow_local"]
DEFAULT_ALERT_THRESHOLD: Final = 0.8
DEFAULT_OVERDRAFT: Final = 0.1

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class LimitBehaviour(Entry, frozen=True, kw_only=True):
    """The behaviour at a limit.

    Attributes:
        alert_threshold: share of the limit at which one alert is given, 0 to 1.
        on_limit: ``stop``: 402; ``free_only``: models of price 0 answer; ``cheap``: `cheap_models` answer.
        cheap_models: for ``cheap``.
        overdraft: share of the limit that they may spend beyond it, 0 to 1.
        on_database_loss: when the lease of a gateway is used up: ``stop``, or ``allow_local``: local models answer.
        timezone: an IANA name; its midnight begins a period.
    """

    alert_threshold: Fraction = DEFAULT_ALERT_THRESHOLD
    on_limit: OnLimit = "free_only"
    cheap_models: tuple[Name, ...] = ()
    overdraft: Fraction = DEFAULT_OVERDRAFT
    on_database_loss: OnDatabaseLoss = "stop"
    timezone: Label = "UTC"


class Budget(LimitBehaviour, frozen=True, kw_only=True):
    """A budget.

    Attributes:
        id: without one in the JSON, ``SCOPE:OF:PERIOD``.
        scope: of the requests that count.
        of: the workspace, the id of the key, the name of the policy or of the worker; None: the scope has none.
        period: ``daily``, ``weekly`` from Monday on, ``monthly``; ``task``: a limit of each request.
        limit: USD.
        enabled: one that is not enabled neither counts nor limits.
    """

    id: Name
    scope: BudgetScope
    period: Period
    limit: Amount
    of: Name | None = None
    enabled: bool = True

    @property
    def limit_nano_usd(self) -> int:
        """The limit in nano-USD."""
        return to_nano_usd(self.limit)

    @property
    def overdraft_nano_usd(self) -> int:
        """The most that may be spent beyond the limit, in nano-USD."""
        return int(self.limit_nano_usd * Decimal(repr(self.overdraft))) if self.on_limit == "cheap" else 0


def budget_id(scope: str, of: str | None, period: str) -> str:
    """Return the id of a budget: ``workspace:acme:daily``."""
    return ":".join(filter(None, (scope, of, period)))


def parse_budget(value: Any, field: str = "budget") -> Budget:
    """Parse the JSON form of a budget.

    Raises:
        ContractError: a field is invalid, unknown or missing, or does not fit the scope.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "of")
        scope, period, of = value.get("scope"), value.get("period"), value.get("of")
        if isinstance(scope, str) and isinstance(period, str) and isinstance(of, str | None):
            value.setdefault("id", budget_id(scope, of, period))
    budget = convert(value, Budget, field)
    check_name(budget.id, f"{field}.id")
    if (budget.of is None) != (budget.scope in SINGLE_SCOPES):
        found = "nothing" if budget.of is None else quote(budget.of)
        expected = (
            f"the {budget.scope} that it is for" if budget.of is None else f"no `of` for the scope {budget.scope}"
        )
        raise ContractError(f"{field}.of", found, expected)
    if budget.of is not None:
        check_name(budget.of, f"{field}.of", MAX_LABEL_LENGTH)
    if budget.scope == "exploration" and budget.period == "task":
        raise ContractError(f"{field}.period", quote(budget.period), "daily, weekly or monthly for exploration")
    if budget.scope == "exploration" and budget.on_limit == "cheap":
        expected = '"free_only" or "stop" for exploration: probes stop, and every model may still answer'
        raise ContractError(f"{field}.onLimit", quote(budget.on_limit), expected)
    check_limit_behaviour(budget, field)
    check_size(budget, field)
    return budget


def check_limit_behaviour(behaviour: LimitBehaviour, field: str) -> None:
    """Check the time zone and the cheap models.

    Raises:
        ContractError: names the path of the field.
    """
    check_timezone(behaviour.timezone, f"{field}.timezone")
    check_model_names(behaviour.cheap_models, f"{field}.cheapModels")
    if (behaviour.on_limit == "cheap") != bool(behaviour.cheap_models):
        found = "no models" if behaviour.on_limit == "cheap" else f"models, and onLimit {quote(behaviour.on_limit)}"
        raise ContractError(f"{field}.cheapModels", found, 'at least one model with onLimit "cheap", none without')
