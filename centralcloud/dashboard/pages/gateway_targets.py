"""Targets with their breakers and checks, and the models of the registry. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.addresses import action_url, instance_url
from centralcloud.dashboard.pages.request_words import breaker_words, check_words, status_words
from centralcloud.dashboard.sources.gateways import AttemptSum
from centralcloud.dashboard.sources.targets import ModelHealth, Registered, TargetReport

#: A key of the fleet: the target, or the provider, with digests of its address and API key, and the host of a local address.
_KEY: Final = re.compile(r"(?P<name>.+?)(?:\|[0-9a-f]{8}){1,2}(?:\|(?P<host>[^|]*))?", re.DOTALL)
_PROBE: Final = "probe "
_STATES: Final = {"open": "bad", "cooling": "look", "misconfigured": "bad", "probing": "look", "closed": "good"}
#: Targets that are shown at once, and those behind a summary; those with an open breaker are always shown.
_SHOWN: Final = 12
_MOST: Final = 120


class Target(NamedTuple):
    """A target, or a whole provider.

    Attributes:
        model: None: every model at the provider.
        host: of a local address, which is another service on each machine; None: it is not local.
        state: for its badge; `words`: the state of the breaker.
        since, retry_at, reporter: of a breaker that some gateway reports; None: none does.
        check: the newest result of a health check in words, with its state for the badge.
        calls, failures: of the last hour.
    """

    model: str | None
    provider: str
    host: str | None
    state: str
    words: str
    is_open: bool
    reason: str | None
    since: datetime | None
    retry_at: datetime | None
    reporter: str | None
    reporter_url: str | None
    check: str | None
    check_state: str
    calls: int
    failures: int


class Targets(NamedTuple):
    """All targets: those with an open breaker and the busiest, `others`, and how many more there are."""

    rows: tuple[Target, ...]
    others: tuple[Target, ...]
    open: int
    hidden: int


class RegisteredModel(NamedTuple):
    """A model of the registry.

    Attributes:
        health: posted, in words; None: none counts now.
        switch, switch_url: the action that gives it the other status, for operators.
    """

    name: str
    title: str | None
    provider: str
    type: str
    status: str
    state: str
    health: str | None
    health_until: datetime | None
    switch: str
    switch_url: str


def targets_of(reports: Sequence[TargetReport], attempts: Sequence[AttemptSum]) -> Targets:
    """Return the targets that a gateway has reported, or called within the last hour."""
    probed = {each.key.removeprefix(_PROBE): each.reporter for each in reports if each.kind == "lease"}
    checks = {name_of(each.key): each for each in reports if each.kind == "check"}
    calls = {(each.model, each.provider): each for each in attempts}
    found: dict[tuple[str | None, str, str | None], Target] = {}
    for report in reports:
        if report.kind != "breaker":
            continue
        name, host = name_of(report.key)
        model, provider = _split(name)
        known = calls.get((model or "", provider))
        state = "probing" if report.key in probed and report.state != "closed" else report.state
        check = checks.get((provider, host))
        target = Target(
            model=model,
            provider=provider,
            host=host,
            state=_STATES.get(state, "note"),
            words=breaker_words(state),
            is_open=state != "closed",
            reason=report.reason,
            since=report.reported_at,
            retry_at=report.expires_at if state not in ("closed", "probing") else None,
            reporter=probed.get(report.key, report.reporter),
            reporter_url=instance_url(probed.get(report.key, report.reporter)),
            check=check and check_words(check.state),
            check_state="look" if check and check.state == "unhealthy" else "neutral",
            calls=known.calls if known else 0,
            failures=known.failures if known else 0,
        )
        before = found.get((model, provider, host))
        if before is None or (target.is_open and not before.is_open):  # one target may have several keys
            found[model, provider, host] = target
    shown = {(model, provider) for model, provider, _ in found}
    for each in attempts:
        if (each.model, each.provider) not in shown:
            found[each.model, each.provider, None] = _closed(each, checks.get((each.provider, None)))
    covered = {provider for _, provider, _ in found}
    for (name, host), check in checks.items():
        if name not in covered:
            found[None, name, host] = _checked(name, host, check)
    rows = sorted(found.values(), key=lambda each: (not each.is_open, each.state, -each.calls, each.model or ""))
    open_targets = sum(each.is_open for each in rows)
    shown_rows = max(_SHOWN, open_targets)
    most = max(_MOST, open_targets)
    return Targets(tuple(rows[:shown_rows]), tuple(rows[shown_rows:most]), open_targets, max(0, len(rows) - most))


def name_of(key: str) -> tuple[str, str | None]:
    """Return the name in a key of the fleet, and the host of a local address."""
    match = _KEY.fullmatch(key)
    return (match["name"], match["host"]) if match else (key, None)


def models_of(registered: Sequence[Registered], health: Sequence[ModelHealth]) -> tuple[RegisteredModel, ...]:
    """Return the models of the registry, those that get no requests first."""
    posted = {each.model: each for each in health}
    found = []
    for each in registered:
        if each.kind != "model":
            continue
        body = each.value
        status = str(body.get("status") or "active")
        known, other = posted.get(each.id), "inactive" if status == "active" else "active"
        found.append(
            RegisteredModel(
                each.id,
                str(body["name"]) if body.get("name") and body["name"] != each.id else None,
                str(body.get("provider") or "unknown"),
                str(body.get("modelType") or "chat"),
                status_words(status),
                "good" if status == "active" else "note",
                known and known.status,
                known and known.expires_at,
                f"Make {other}",
                action_url("model-status", model=each.id, status=other),
            )
        )
    return tuple(sorted(found, key=lambda each: (each.state == "good", each.name)))


def _split(name: str) -> tuple[str | None, str]:
    """Return the model and the provider of ``model@provider``, also with the number of an endpoint; a provider alone."""
    model, at, provider = name.rpartition("@")
    return (model, provider.partition("#")[0]) if at else (None, name)


def _closed(attempts: AttemptSum, check: TargetReport | None) -> Target:
    return Target(
        attempts.model,
        attempts.provider,
        None,
        "good",
        breaker_words("closed"),
        False,
        None,
        None,
        None,
        None,
        None,
        check and check_words(check.state),
        "look" if check and check.state == "unhealthy" else "neutral",
        attempts.calls,
        attempts.failures,
    )


def _checked(provider: str, host: str | None, check: TargetReport) -> Target:
    state = "look" if check.state == "unhealthy" else "neutral"
    return Target(
        None,
        provider,
        host,
        state,
        check_words(check.state),
        False,
        check.reason,
        check.reported_at,
        None,
        check.reporter,
        instance_url(check.reporter),
        None,
        "neutral",
        0,
        0,
    )
