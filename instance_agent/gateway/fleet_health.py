"""The health of targets in the fleet, as this gateway knows it: hints to and from others, probes, results of checks.

It lives in the gateway's event loop. The exchange with the database runs in a thread of its own; nothing here waits for it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from centralcloud.contracts.target_health import ReportedHealth, TargetReport
from instance_agent.execution.breakers import BreakerChange, Breakers
from instance_agent.gateway.fleet_targets import Check, FleetTargets
from instance_agent.gateway.probe_leases import ProbeLeases
from instance_agent.gateway.state import GatewayState
from instance_agent.sync.health_exchange import HealthExchange

CheckState: TypeAlias = Literal["healthy", "unhealthy", "unknown"]

#: How long a hint counts whose breaker does not say until when: another gateway finds out by itself after that.
_MISCONFIGURED_SECONDS: Final = 60.0
#: How long it counts that a target works again: long enough for each gateway to read it.
_CLOSED_SECONDS: Final = 30.0
_LONGEST_SECONDS: Final = 3600.0
#: The gateway's own words: an error of a provider may repeat what a client sent, and stays in the gateway's log.
_WORDS: Final = {
    "open": "calls of it failed",
    "cooling": "the provider asked to wait",
    "misconfigured": "the key, the account or the name of the model is wrong",
    "closed": "it works again",
}
_CLAIM_PROBE: Final = "probe "


class CheckResult(NamedTuple):
    """The newest result of a health check, by this gateway or another one.

    Attributes:
        at: when it was made, in seconds of `time.time`; for people.
        since, until: when it was made, and how long it counts, by the clock of the event loop.
    """

    state: CheckState
    reason: str | None
    reporter: str
    at: float
    since: float
    until: float


class FleetHealth:
    """Hints, probes and checks. Created in the event loop, and used by it alone.

    Attributes:
        breakers: of this gateway.
        targets: of the configuration in use.
        leases: on probes.
        checked: the newest results, by the key of the check.
        local: whether each local provider has answered when this gateway last asked it, by name. Not shared: it is another
            service on each machine.
        hints: what other gateways report about targets of this one, by the key of the breaker.
    """

    def __init__(self, exchange: HealthExchange | None, instance_id: str, clock: Callable[[], float]) -> None:
        """Create it; without an `exchange` every gateway is on its own."""
        self._exchange = exchange
        self._instance_id = instance_id
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.breakers = Breakers(on_change=self.breaker_changed, may_probe=self.may_probe)
        self.targets = FleetTargets()
        self.leases = ProbeLeases(
            self._ask_for_probe, available=lambda: self._exchange is not None and self._exchange.up
        )
        self.checked: dict[str, CheckResult] = {}
        self.local: dict[str, CheckResult] = {}
        self.hints: dict[str, ReportedHealth] = {}
        self._read_at = 0.0
        if exchange is not None:
            exchange.on_read = self._read_in_thread

    def use(self, state: GatewayState) -> None:
        """Use the targets of another configuration; those that have gone are forgotten."""
        self.targets = state.fleet_targets
        self.breakers.keep(self.targets.keys)
        self.leases.keep(self.targets.keys)
        self.checked = {key: each for key, each in self.checked.items() if key in self.targets.checks}
        self.hints = {key: each for key, each in self.hints.items() if key in self.targets.shared}

    def breaker_changed(self, change: BreakerChange) -> None:
        """Report a change of a breaker to the other gateways. Targets that a client made up are not reported."""
        key = self.targets.shared.get(change.key)
        if key is None or self._exchange is None:
            return
        if change.state == "closed":
            seconds = _CLOSED_SECONDS
        else:
            seconds = _MISCONFIGURED_SECONDS if change.seconds is None else min(change.seconds, _LONGEST_SECONDS)
        self._exchange.report(TargetReport("breaker", key, change.state, seconds, _WORDS[change.state]))

    def may_probe(self, key: str) -> bool:
        """Whether this gateway may probe a half-open breaker now; never waits."""
        return key not in self.targets.shared or self.leases.may_probe(key, self._clock())

    def receive(self, reports: Sequence[ReportedHealth]) -> None:
        """Take what the database knows: hints of other gateways, and results of their checks."""
        now = self._clock()
        hints = {}
        for report in reports:
            if report.kind == "check":
                self._receive_check(report, now)
                continue
            key = self.targets.own.get(report.key)
            if key is None or report.reporter == self._instance_id:
                continue
            if report.state == "closed":
                self.breakers.unhint(key)
            elif report.state in _WORDS:
                hints[key] = report
                self.breakers.hint(key, now, report.seconds_left, report.age_seconds)
        self.hints = hints
        self._read_at = now

    def record_check(self, check: Check, state: CheckState, reason: str | None, seconds: float) -> None:
        """Take the result of a check that this gateway made, and report it; it counts for `seconds`."""
        now = self._clock()
        self._use_check(check, CheckResult(state, reason, self._instance_id, time.time(), now, now + seconds), now)
        if self._exchange is not None:
            self._exchange.report(TargetReport("check", check.key, state, seconds, reason))

    def looked(self, provider: str, answers: bool) -> None:
        """Take whether a local provider has listed its models."""
        state: CheckState = "healthy" if answers else "unhealthy"
        reason = None if answers else "it does not list its models"
        now = self._clock()
        self.local[provider] = CheckResult(state, reason, self._instance_id, time.time(), now, float("inf"))

    async def claim_checks(self, checks: Sequence[Check], hold_seconds: float, wait_seconds: float) -> list[Check]:
        """Return the checks that this gateway makes for the fleet; all of them while the database does not answer."""
        exchange = self._exchange
        if exchange is None or not exchange.up:
            return list(checks)
        answer: asyncio.Future[frozenset[str] | None] = self._loop.create_future()

        def settle(held: frozenset[str] | None) -> None:
            if not answer.done():
                answer.set_result(held)

        names = {f"check {check.key}": check for check in checks}
        exchange.claim(list(names), hold_seconds, lambda held: self._in_loop(settle, held))
        try:
            held = await asyncio.wait_for(answer, wait_seconds)
        except TimeoutError:
            held = None
        return list(checks) if held is None else [check for name, check in names.items() if name in held]

    def check_of(self, key: str, provider: str) -> dict[str, Any]:
        """Return the newest check of a target: of its address for that, else of its local provider."""
        check = self.checked.get(self.targets.check_of.get(key, "")) or self.local.get(provider)
        if check is None:
            return {}
        return {
            "check": {
                "status": check.state,
                **({"reason": check.reason} if check.reason else {}),
                "checkedAt": datetime.fromtimestamp(check.at, UTC).isoformat(),
                "checkedBy": check.reporter,
            }
        }

    def of_target(self, breaker_key: str, service_key: str) -> dict[str, Any]:
        """Return what is known of one target besides its check: its breakers here, and hints of other gateways."""
        now = self._clock()
        found: dict[str, Any] = {"breaker": {"state": "closed"}}
        states = self.breakers.states(now)
        if state := states.get(breaker_key) or states.get(service_key):
            found["breaker"] = {"state": state, **self.breakers.describe((breaker_key, service_key), now)}
        hints = [self.hints[each] for each in (breaker_key, service_key) if each in self.hints]
        hints = [each for each in hints if now < self._read_at + each.seconds_left]
        if hints:
            found["hints"] = [
                {
                    "state": each.state,
                    "reason": each.reason,
                    "reportedBy": each.reporter,
                    "reportedAt": each.reported_at.astimezone(UTC).isoformat(),
                }
                for each in hints
            ]
            found["suspected"] = self.breakers.suspects_key(breaker_key, now) or self.breakers.suspects_key(
                service_key, now
            )
        return found

    def summary(self) -> dict[str, Any]:
        """Return counts for a page that needs no key: no names."""
        now = self._clock()
        checked = [each for each in self.checked.values() if now < each.until]
        newest = max((each.since for each in checked), default=None)
        return {
            "breakers": dict(Counter(self.breakers.states(now).values())),
            "hints": sum(now < self._read_at + each.seconds_left for each in self.hints.values()),
            "suspected": self.breakers.suspected_count(now),
            "checks": dict(Counter(each.state for each in checked)),
            "secondsSinceCheck": None if newest is None else round(max(0.0, now - newest), 1),
            "exchange": "up" if self._exchange is not None and self._exchange.up else "down",
        }

    def _receive_check(self, report: ReportedHealth, now: float) -> None:
        check = self.targets.checks.get(report.key)
        if check is None or report.reporter == self._instance_id:
            return
        since = now - report.age_seconds
        known = self.checked.get(check.key)
        if report.state in ("healthy", "unhealthy", "unknown") and (known is None or known.since < since):
            state: Any = report.state
            at, until = report.reported_at.timestamp(), now + report.seconds_left
            self._use_check(check, CheckResult(state, report.reason, report.reporter, at, since, until), now)

    def _use_check(self, check: Check, result: CheckResult, now: float) -> None:
        """Demote the targets of a check that failed. One that passes after a failure closes their breakers."""
        known = self.checked.get(check.key)
        self.checked[check.key] = result
        restored = result.state == "healthy" and known is not None and known.state == "unhealthy"
        for key in check.breaker_keys:
            if result.state == "unhealthy":
                self.breakers.hint(key, now, result.until - now, now - result.since)
            elif restored:
                self.breakers.unhint(key)
                self.breakers.clear(key, now, result.since)
        if restored:
            self.breakers.clear(check.service_key, now, result.since)

    def _ask_for_probe(self, key: str, seconds: float) -> None:
        if self._exchange is None:
            return
        name = _CLAIM_PROBE + self.targets.shared[key]

        def claimed(held: frozenset[str] | None) -> None:
            self._in_loop(lambda: self.leases.answered(key, self._clock(), None if held is None else name in held))

        self._exchange.claim((name,), seconds, claimed)

    def _read_in_thread(self, reports: list[ReportedHealth]) -> None:
        self._in_loop(self.receive, reports)

    def _in_loop(self, work: Callable[..., object], *arguments: object) -> None:
        """Call `work` in the event loop; from another thread, also when the loop has ended meanwhile."""
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
