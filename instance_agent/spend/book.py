"""The limits of the fleet's configuration, by what they are for: which of them count for a request. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from centralcloud.contracts.fleet_configuration import ApiKey, Budget, FleetConfiguration
from instance_agent.spend.account import Account

#: Combinations of workspace, key, policy and worker that are kept; a caller can make up workers.
_MOST_KEPT: Final = 20_000
_KINDS: Final = ("requests", "tokens")


class Charge(NamedTuple):
    """The limits of one request.

    Attributes:
        accounts: of its budgets, in the order of their ids.
        overdrafts: of each of `accounts`, for cheap models; None: the budget has none.
        task: the budget that limits the cost of each request the most; None: none.
    """

    accounts: tuple[Account, ...] = ()
    overdrafts: tuple[Account | None, ...] = ()
    task: Budget | None = None

    @property
    def task_limit_nano(self) -> int | None:
        """The most that one request may cost, in nano-USD; None: no limit. A constraint of planning (`policy_cost`)."""
        return None if self.task is None else self.task.limit_nano_usd


class RateCharge(NamedTuple):
    """The rate limits of a key; `tokens` is None where it has none for them."""

    requests: Account
    tokens: Account | None = None


class Book:
    """Every limit of one configuration. Accounts live as long as their meter: another configuration keeps their leases.

    Attributes:
        accounts: by meter.
        exploration: the budgets of the extra cost of the fleet's probes.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.exploration = Charge()
        self._budgets: dict[tuple[str, str | None], list[Budget]] = {}
        self._rates: dict[str, RateCharge] = {}
        self._keys: Mapping[str, ApiKey] = {}
        self._charges: dict[tuple[str | None, ...], Charge] = {}

    def use(self, configuration: FleetConfiguration) -> tuple[list[Account], list[Account]]:
        """Use the limits of another configuration.

        Returns:
            The accounts whose limits have become lower, whose leases are to be returned; and those that are gone.
        """
        before, self.accounts = self.accounts, {}
        lowered: list[Account] = []
        self._budgets, self._rates, self._charges = {}, {}, {}
        for budget in configuration.budgets.values():
            if not budget.enabled:
                continue
            for of in _successors(configuration, budget):
                self._budgets.setdefault((budget.scope, of), []).append(budget)
            if budget.period != "task":
                lowered += self._keep(before, f"budget/{budget.id}", budget)
                if budget.on_limit == "cheap":
                    lowered += self._keep(before, f"overdraft/{budget.id}", budget)
        self._keys = configuration.keys
        for meter, account in before.items():
            # Accounts of keys are made when they are used: there may be thousands of keys, and this runs in the event loop.
            kind, _, key_id = meter.partition("/")
            if kind in _KINDS and (key := self._keys.get(key_id)) is not None and _rate_of(key, kind) is not None:
                lowered += self._keep({meter: account}, meter, key)
        self.exploration = self._charge_of(self._budgets.get(("exploration", None), []))
        return lowered, [before[meter] for meter in before.keys() - self.accounts.keys()]

    def _keep(self, before: dict[str, Account], meter: str, owner: Budget | ApiKey) -> Iterable[Account]:
        account = before.get(meter)
        if account is None:
            self.accounts[meter] = Account(meter, owner)
            return
        self.accounts[meter] = account
        earlier, account.owner = account.owner, owner
        if earlier != owner:
            account.forget()
            if _limit_of(meter, owner) < _limit_of(meter, earlier):
                yield account

    def charge(
        self,
        *,
        workspace: str | None = None,
        key_id: str | None = None,
        policy: str | None = None,
        worker: str | None = None,
    ) -> Charge:
        """Return the budgets of a request: those of the fleet, and of what it belongs to."""
        of = (workspace, key_id, policy, worker)
        if (found := self._charges.get(of)) is not None:
            return found
        scopes = (("workspace", workspace), ("key", key_id), ("policy", policy), ("worker", worker))
        named = [each for scope, name in scopes if name is not None for each in self._budgets.get((scope, name), ())]
        charge = self._charge_of([*self._budgets.get(("fleet", None), ()), *named])
        if len(self._charges) >= _MOST_KEPT:
            self._charges.clear()
        self._charges[of] = charge
        return charge

    def _charge_of(self, budgets: Iterable[Budget]) -> Charge:
        budgets = sorted(budgets, key=lambda each: each.id)
        tasks = [each for each in budgets if each.period == "task"]
        ids = [each.id for each in budgets if each.period != "task"]
        return Charge(
            tuple(self.accounts[f"budget/{each}"] for each in ids),
            tuple(self.accounts.get(f"overdraft/{each}") for each in ids),
            min(tasks, key=lambda each: (each.limit_nano_usd, each.id)) if tasks else None,
        )

    def rates(self, key_id: str | None) -> RateCharge | None:
        """Return the rate limits of a key; None: none."""
        if key_id is None:
            return None
        if (found := self._rates.get(key_id)) is not None:
            return found
        key = self._keys.get(key_id)
        if key is None or key.rate_limit is None:
            return None
        accounts = [
            self.accounts.setdefault(f"{kind}/{key_id}", Account(f"{kind}/{key_id}", key))
            for kind in _KINDS
            if _rate_of(key, kind) is not None
        ]
        self._rates[key_id] = charge = RateCharge(*accounts)
        return charge

    def unenforced(self, configuration: FleetConfiguration) -> list[str]:
        """Return each limit of the configuration that no request would meet, for a check at the start: expected none."""
        names = {"workspace": "workspace", "key": "key_id", "policy": "policy", "worker": "worker"}
        missing = []
        for budget in configuration.budgets.values():
            if not budget.enabled:
                continue
            of = {names[budget.scope]: budget.of} if budget.scope in names else {}
            charge = self.exploration if budget.scope == "exploration" else self.charge(**of)
            if budget.period == "task":
                held = charge.task is not None and charge.task.limit_nano_usd <= budget.limit_nano_usd
            else:
                held = self.accounts.get(f"budget/{budget.id}") in charge.accounts
            if not held:
                missing.append(f"budget {budget.id}")
        missing += [
            f"rate limit of the key {key.id}"
            for key in configuration.keys.values()
            if key.rate_limit is not None and self.rates(key.id) is None
        ]
        return missing


def _successors(configuration: FleetConfiguration, budget: Budget) -> Iterable[str | None]:
    """Yield the name that a budget is for; of a key also those that rotations made in its place, so that none lifts it."""
    of = budget.of
    yield of
    seen = {of}
    while budget.scope == "key" and of is not None and (key := configuration.keys.get(of)) is not None:
        of = key.replaced_by
        if of is None or of in seen:
            return
        seen.add(of)
        yield of


def _limit_of(meter: str, owner: Budget | ApiKey) -> int:
    """Return the limit of a meter, as this gateway's copy of the configuration has it."""
    if isinstance(owner, Budget):
        return owner.overdraft_nano_usd if meter.startswith("overdraft/") else owner.limit_nano_usd
    return _rate_of(owner, meter.partition("/")[0]) or 0


def _rate_of(key: ApiKey, kind: str) -> int | None:
    return None if key.rate_limit is None else getattr(key.rate_limit, kind)
