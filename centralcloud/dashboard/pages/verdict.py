"""The verdict: one sentence that weighs every signal by what it concerns. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from centralcloud.dashboard.pages.addresses import finding_url
from centralcloud.dashboard.pages.reuse import reused
from centralcloud.dashboard.pages.words import LARGE_SHARE, SMALL_SHARE, TOGETHER_SHARE, finding_title, sentence
from centralcloud.dashboard.sources.control import Control
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.fleet import FleetState
from centralcloud.dashboard.sources.queue import QueueState
from centralcloud.dashboard.sources.traffic import PairTraffic
from centralcloud.dashboard.web.formats import percent
from centralcloud.monitoring.finding_rules import log_likelihood_ratio
from centralcloud.runtime.wording import age, counted

State = Literal["good", "look", "bad", "note"]

_QUEUE_LOOK_SECONDS: Final = 60.0
_QUEUE_BAD_SECONDS: Final = 600.0
#: Drop of the fleet's success rate, against the rest of the day.
_DROP_LOOK: Final = 0.03
_DROP_BAD: Final = 0.10
#: As a rule's alarm: how much better two rates explain the outcomes than one.
_DROP_RATIO: Final = 12.0
_SILENCE: Final = timedelta(minutes=15)
_LEARNER_LATE: Final = timedelta(hours=2)


class Signal(NamedTuple):
    """One thing that the verdict weighs.

    Attributes:
        title: a few words.
        text: a sentence.
        at: since when, where it is known.
        command: what ends it, where that is one command.
    """

    state: State
    title: str
    text: str
    url: str | None
    at: datetime | None = None
    command: str = ""


class Verdict(NamedTuple):
    """The sentence at the top.

    Attributes:
        state: ``empty``: there are no outcomes yet.
        signals: the worst first.
        command: the next step of a fleet without outcomes.
    """

    state: Literal["good", "look", "bad", "empty"]
    headline: str
    text: str
    signals: tuple[Signal, ...]
    command: str = ""


class Evidence(NamedTuple):
    """The facts that the verdict is made from. Parts that could not be read are None."""

    fleet: FleetState
    queue: QueueState | None
    control: Control | None
    findings: Sequence[Finding]
    traffic: Sequence[PairTraffic]
    now: datetime


def judge(found: Evidence) -> Verdict:
    """Return the verdict on a fleet."""
    if not found.fleet.ingested and not found.traffic:
        text, command = _first_step(found.fleet)
        return Verdict("empty", "No outcomes yet", text, (), command)
    signals = sorted(_signals(found), key=lambda each: ("bad", "look", "note").index(each.state))
    bad = [each for each in signals if each.state == "bad"]
    look = [each for each in signals if each.state == "look"]
    rate = success_rate(found.traffic)
    known = "" if rate is None else f"{percent(rate)} of the outcomes of the last day succeed. "
    if bad:
        headline = bad[0].title if len(bad) == 1 else f"{counted(len(bad), 'thing')} are broken"
        return Verdict("bad", headline, f"{known}{bad[0].text}", tuple(signals))
    if look:
        needs = "needs" if len(look) == 1 else "need"
        return Verdict(
            "look", f"{counted(len(look), 'thing')} {needs} a look", f"{known}{look[0].text}", tuple(signals)
        )
    return Verdict("good", "The fleet is healthy", f"{known}{_convergence(found.fleet)}", tuple(signals))


def as_far_as_known(verdict: Verdict, *, is_old: bool, has_gaps: bool) -> Verdict:
    """Return a verdict that claims no more than what can be read now.

    Args:
        is_old: the database cannot be read, so that it is a verdict on what was read before.
        has_gaps: a part of what it weighs may not be read.
    """
    state: Literal["bad", "look"] = "bad" if verdict.state == "bad" else "look"
    if is_old:
        text = f"When the database was last read: {verdict.headline}. {verdict.text}"
        return verdict._replace(state=state, headline="It is not known how the fleet is now", text=text)
    if has_gaps and verdict.state in ("good", "empty"):
        text = f"A part may not be read. In the rest: {verdict.headline}. {verdict.text}"
        return verdict._replace(state=state, headline="It is not known whether the fleet is healthy", text=text)
    return verdict


def success_rate(traffic: Sequence[PairTraffic]) -> float | None:
    """Return the share of successes, 0 to 1, of all outcomes that count; None without any."""
    successes = sum(each.successes for each in traffic)
    outcomes = successes + sum(each.failures for each in traffic)
    return successes / outcomes if outcomes else None


def _signals(found: Evidence) -> Iterator[Signal]:
    fleet = found.fleet
    if not fleet.workers:
        at = fleet.worker_seen_at
        seen = f" for {age((found.now - at).total_seconds())}" if at and at <= found.now else ""
        waiting = f", and {counted(found.queue.messages, 'event')} wait" if found.queue and found.queue.messages else ""
        text = f"Nothing has been ingested{seen}{waiting}." if seen else f"Nothing is ingested{waiting}."
        yield Signal("bad", "No daemon is running", text, "/fleet", at if seen else None, "centralcloud run")
    yield from _queue(found.queue)
    if (drop := _drop(found.traffic)) is not None:
        yield drop
    yield from _findings(found.findings)
    if fleet.instances and fleet.behind:
        text = f"{fleet.behind:,} of {counted(fleet.instances, 'instance')} lack newer scores."
        yield Signal("look", "Instances are behind", text, "/fleet?show=behind")
    if fleet.new_dead_letters:
        text = f"{counted(fleet.new_dead_letters, 'message')} of the last hour could not be ingested."
        yield Signal("look", "New dead letters", text, "/fleet#dead-letters")
    if found.control and found.control.frozen_at:
        text = sentence(f"No learned score is published: {found.control.frozen_reason or 'no reason given'}")
        yield Signal("look", "Learning is frozen", text, "/activity", found.control.frozen_at)
    if fleet.last_run_at and found.now - fleet.last_run_at > _LEARNER_LATE and fleet.workers:
        text = f"The learner last ran {age((found.now - fleet.last_run_at).total_seconds())} ago."
        yield Signal("look", "The learner is late", text, "/incidents#runs", fleet.last_run_at)
    newest = max((each.start for each in found.traffic), default=None)
    waits = found.queue is not None and found.queue.messages > 0  # then events come, and no slice of them is read yet
    if fleet.workers and not waits and (newest is None or found.now - newest > _SILENCE + _part(found.traffic)):
        text = "The daemon runs, and no instance has sent a decision or an outcome lately."
        yield Signal("look", "No new outcomes", text, "/fleet", newest)


def _queue(queue: QueueState | None) -> Iterator[Signal]:
    waiting = (queue and queue.oldest_waiting_seconds) or 0.0
    if queue is None or waiting < _QUEUE_LOOK_SECONDS:
        return
    number = f"{'more than ' if queue.capped else ''}{counted(queue.messages, 'event')}"
    text = f"The oldest of {number} in the queue has waited for {age(waiting)}."
    yield Signal("bad" if waiting >= _QUEUE_BAD_SECONDS else "look", "The queue is behind", text, "/fleet#queue")


def _findings(findings: Sequence[Finding]) -> Iterator[Signal]:
    for finding in findings:
        share = finding.traffic_share
        if finding.kind == "newcomer":
            continue  # news, and not a problem
        if share is not None and share < SMALL_SHARE:
            continue
        state: State = "bad" if share is not None and share >= LARGE_SHARE else "look"
        text = sentence(finding.message, finding.names)
        yield Signal(state, finding_title(finding.kind), text, finding_url(finding), finding.opened_at)
    for kind, number, share in small_findings(findings):
        if share >= TOGETHER_SHARE:
            together: State = "bad" if share >= LARGE_SHARE else "look"
            least = percent(SMALL_SHARE, 0)
            text = f"{number:,} findings concern less than {least} of the traffic each, and {percent(share)} together."
            yield Signal(together, finding_title(kind), text, "/incidents")


def small_findings(findings: Sequence[Finding]) -> list[tuple[str, int, float]]:
    """Return the kinds of the open findings that concern little traffic each, the kind that concerns most together first.

    Each comes with the number of its findings, and their share of the traffic together, 0 to 1. Shares of several kinds are
    not added up: two findings may be about one pair.
    """
    shares: dict[str, list[float]] = defaultdict(list)
    for finding in findings:
        if finding.kind != "newcomer" and finding.traffic_share is not None and finding.traffic_share < SMALL_SHARE:
            shares[finding.kind].append(finding.traffic_share)
    found = [(kind, len(each), min(1.0, sum(each))) for kind, each in shares.items()]
    return sorted(found, key=lambda entry: -entry[2])


@reused
def _drop(traffic: Sequence[PairTraffic]) -> Signal | None:
    """The newest twelfth of the day against the rest of it."""
    starts = sorted({each.start for each in traffic})
    newest = set(starts[-max(1, len(starts) // 12) :])
    now_s, now_f = _outcomes([each for each in traffic if each.start in newest])
    then_s, then_f = _outcomes([each for each in traffic if each.start not in newest])
    now_n, then_n = now_s + now_f, then_s + then_f
    if not now_n or not then_n:
        return None
    now, then = now_s / now_n, then_s / then_n
    drop = then - now
    if drop < _DROP_LOOK or log_likelihood_ratio(now_s, now_n, then_s, then_n) < _DROP_RATIO:
        return None
    text = f"{percent(now)} of the newest outcomes succeed; {percent(then)} did before."
    return Signal("bad" if drop >= _DROP_BAD else "look", "Fewer tasks succeed", text, "/scores", min(newest))


def _outcomes(traffic: Sequence[PairTraffic]) -> tuple[int, int]:
    return sum(each.successes for each in traffic), sum(each.failures for each in traffic)


def _part(traffic: Sequence[PairTraffic]) -> timedelta:
    """The length of a part of the time."""
    starts = sorted({each.start for each in traffic})
    return min((b - a for a, b in pairwise(starts)), default=timedelta(0))


def _convergence(fleet: FleetState) -> str:
    if not fleet.instances:
        return "No instance has applied scores within a day."
    all_of = "The instance uses" if fleet.instances == 1 else f"All {fleet.instances:,} instances use"
    return f"{all_of} the newest scores."


def _first_step(fleet: FleetState) -> tuple[str, str]:
    """Return what is missing, and the command that helps."""
    if not fleet.workers:
        return "No daemon is running on this database, and no event was ingested yet.", "centralcloud run"
    text = "The daemon runs. Scores appear here as soon as a router has sent decisions and outcomes."
    return text, "instance-agent serve"
