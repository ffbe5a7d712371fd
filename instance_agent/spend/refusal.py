"""Why a request may not be sent to a model that costs so much, and which models may still answer. Pure."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from centralcloud.contracts.fleet_configuration import ApiKey, Budget
from centralcloud.runtime.wording import usd
from instance_agent.spend.account import Account

#: ``budget_exhausted``: no gateway can still spend so much in the period. ``budget_busy``: other requests hold what is left
#: of it, and too little of it came back in time. ``task_limit``: more than one request may cost. ``rate_limited``: of a key.
#: ``database_unavailable``: the gateway's lease is used up, and the database does not answer.
RefusalCode: TypeAlias = Literal[
    "budget_exhausted", "budget_busy", "task_limit", "rate_limited", "database_unavailable"
]
#: Which models may still answer: none; those of price 0; those that the budget names; those of local providers.
Remaining: TypeAlias = Literal["stop", "free_only", "cheap", "local_only"]
_STRICTEST: Final[tuple[Remaining, ...]] = ("stop", "free_only", "cheap", "local_only")
#: When to try again where nothing says how long it takes.
_SOON_SECONDS: Final = 1.0


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may not be sent.

    Attributes:
        code: see `RefusalCode`.
        meter: budget/ID, or requests/KEY, tokens/KEY of a rate limit.
        message: one line for the caller.
        status: 402 for a budget, which client libraries do not repeat; 429 for a rate limit; 503 without the database.
        then: which models may still answer.
        cheap_models: their names, for ``cheap``.
        limit, remaining: in nano-USD, requests or tokens; None: not known.
        retry_after_seconds: when the period ends, or when to try again; None: it never passes, or not known.
    """

    code: RefusalCode
    meter: str
    message: str
    status: Literal[402, 429, 503]
    then: Remaining = "stop"
    cheap_models: tuple[str, ...] = ()
    limit: int | None = None
    remaining: int | None = None
    retry_after_seconds: float | None = None


def refuse_task(budget: Budget, nano: int) -> Refusal:
    """Return the refusal of a request that may cost more than a budget allows for each."""
    then, cheap = _behaviour([budget], database_lost=False)
    return Refusal(
        code="task_limit",
        meter=f"budget/{budget.id}",
        message=f"budget {budget.id}: found a request that may cost {usd(nano)}, expected at most "
        f"{usd(budget.limit_nano_usd)} for each",
        status=402,
        then=then,
        cheap_models=cheap,
        limit=budget.limit_nano_usd,
    )


def refuse_budgets(accounts: Sequence[Account], nano: int, code: RefusalCode, now: float) -> Refusal:
    """Return the refusal by budgets of which too little is left, or not known to be left."""
    account = accounts[0]
    budget, remaining = account.meter.partition("/")[2], account.remaining
    lost = code == "database_unavailable"
    then, cheap = _behaviour([each.owner for each in accounts], database_lost=lost)
    if not lost and any(each.meter.startswith("overdraft/") for each in accounts):
        then, cheap = "stop", ()  # the cheap models have spent their overdraft, too
    if lost:
        message = f"budget {budget}: the lease of this gateway is used up, and the database does not answer"
    else:
        left = "an unknown amount" if remaining is None else usd(remaining)
        of = "" if account.limit is None else f" of {usd(account.limit)}"
        held = ", part of it held by other requests" if code == "budget_busy" else ""
        if nano:
            message = f"budget {budget}: found {left}{of} left{held}, expected {usd(nano)}, which the request may cost"
        else:
            message = f"budget {budget}: found nothing{of} left, expected some for the request"
    return Refusal(
        code=code,
        meter=account.meter,
        message=message,
        status=503 if lost else 402,
        then=then,
        cheap_models=cheap,
        limit=account.limit,
        remaining=remaining,
        retry_after_seconds=account.seconds_left(now) if code == "budget_exhausted" else _SOON_SECONDS,
    )


def refuse_rate(account: Account, amount: int, now: float) -> Refusal:
    """Return the refusal by the rate limit of a key."""
    key: ApiKey = account.owner
    assert key.rate_limit is not None
    kind = account.meter.partition("/")[0]
    limit = account.limit or getattr(key.rate_limit, kind)
    window = key.rate_limit.window_ms / 1000
    found = "one request more" if kind == "requests" else f"{amount:,} tokens more"
    return Refusal(
        code="rate_limited",
        meter=account.meter,
        message=f"key {key.id}: found {found}, expected at most {limit:,} {kind} in {window:,g} s",
        status=429,
        limit=limit,
        remaining=account.remaining,
        retry_after_seconds=None if amount > limit else account.seconds_left(now) or min(_SOON_SECONDS, window),
    )


def _behaviour(budgets: Sequence[Budget], *, database_lost: bool) -> tuple[Remaining, tuple[str, ...]]:
    """Return which models may answer where several budgets refuse: the strictest of what they say."""
    if database_lost:
        local = all(each.on_database_loss == "allow_local" for each in budgets)
        return ("local_only" if local else "stop"), ()
    then = min((each.on_limit for each in budgets), key=_STRICTEST.index)
    if then != "cheap":
        return then, ()
    first, *others = (each.cheap_models for each in budgets)
    common = tuple(name for name in first if all(name in each for each in others))
    return ("cheap", common) if common else ("stop", ())
