"""The words of a report: sections with sentences and tables, which the terminal and the HTML page share. Pure."""

from collections.abc import Iterator
from datetime import tzinfo

from centralcloud.dashboard.pages.words import finding_title
from centralcloud.dashboard.report.experiment_section import experiment_section
from centralcloud.dashboard.report.reading import MOST_WEIGHED, Incident, LeaderChange, Report, Totals
from centralcloud.dashboard.report.recommendations import leaders_of, recommendations
from centralcloud.dashboard.report.section import Section, Table, moment
from centralcloud.dashboard.report.worth import Worth
from centralcloud.dashboard.web.formats import number, percent, score, signed_percent, usd, usd_of_nano
from centralcloud.runtime.comparison import cost_of_success, success_rate
from centralcloud.runtime.wording import age, counted, decimals

_MOST_ROWS = 40
_NONE = "–"


def heading(report: Report, zone: tzinfo) -> str:
    """Return the title: the time of the report."""
    return f"{moment(report.since, zone)} to {moment(report.until, zone)}"


def nothing_to_report(report: Report, zone: tzinfo) -> str | None:
    """Return the sentence of a report without decisions; None where there are some."""
    if report.totals.decisions or report.totals.successes + report.totals.failures:
        return None
    if report.first_hour is None:
        return "No decision has arrived yet: there is nothing to report."
    return f"No decision arrived from {heading(report, zone)}."


def sections(report: Report, zone: tzinfo) -> tuple[Section, ...]:
    """Return all sections that have something to say."""
    return tuple(
        section
        for section in (
            _summary(report, zone),
            _routing(report),
            _incidents(report, zone),
            _learning(report, zone),
            _worth(report),
            experiment_section(report.experiments, zone),
            _budgets(report, zone),
            _recommendations(report),
        )
        if section is not None
    )


def _summary(report: Report, zone: tzinfo) -> Section:
    totals, before = report.totals, report.before
    outcomes = number(_outcomes(totals))
    sentences = [
        f"{counted(totals.decisions, 'decision')}; {percent(_rate(totals))} of {outcomes} outcomes succeeded.",
        f"{_spent(totals)}; a success cost {usd(_cost(totals))}.",
    ]
    if totals.unknown > 0:
        sentences.append(f"{percent(totals.unknown)} of the outcomes have no known cost: they are in no amount here.")
    earlier = (
        f"the time before, {moment(report.since - (report.until - report.since), zone)} to {moment(report.since, zone)}"
    )
    if before is not None and before.decisions:
        sentences.append(f"Against {earlier}: {', '.join(_differences(totals, before))}.")
    elif before is not None or report.first_hour is None:
        sentences.append(f"There is no comparison with {earlier}: no decision arrived in it.")
    else:
        begin = moment(report.first_hour, zone)
        sentences.append(f"There is no comparison with {earlier}: the records begin at {begin}.")
    return Section("summary", "How did it go?", sentences)


def _differences(totals: Totals, before: Totals) -> Iterator[str]:
    yield f"decisions {signed_percent(totals.decisions / before.decisions - 1)}"
    rates = _rate(totals), _rate(before)
    if rates[0] is not None and rates[1] is not None:
        points = 100 * (rates[0] - rates[1])
        yield f"success rate {'+' if points >= 0 else '−'}{abs(points):.1f} percentage points"
    if before.cost_nano_usd and totals.unknown < 1:
        yield f"spend {signed_percent(totals.cost_nano_usd / before.cost_nano_usd - 1)}"
    costs = _cost(totals), _cost(before)
    if costs[0] is not None and costs[1]:
        yield f"cost of a success {signed_percent(costs[0] / costs[1] - 1)}"


def _routing(report: Report) -> Section:
    leaders = leaders_of(report.pairs)
    by_complexity: dict[str, int] = {}
    for each in report.pairs:
        by_complexity[each.complexity] = by_complexity.get(each.complexity, 0) + each.decisions
    order = list(leaders)
    pairs = sorted(
        report.pairs,
        key=lambda each: (
            order.index(each.complexity) if each.complexity in order else len(order),
            -each.decisions,
            each.model,
        ),
    )
    rows = [
        (
            each.complexity,
            each.model,
            decimals(each.decisions),
            percent(each.decisions / by_complexity[each.complexity] if by_complexity[each.complexity] else None),
            percent(success_rate(each)),
            _milliseconds(each.p50_ms),
            _milliseconds(each.p95_ms),
            usd_of_nano(each.cost_nano_usd) if each.priced or each.cost_nano_usd else _NONE,
            usd(cost_of_success(each)),
        )
        for each in pairs[:_MOST_ROWS]
    ]
    titles = ("Complexity", "Model", "Decisions", "Share", "Success", "p50", "p95", "Spend", "Per success")
    sentences = [
        f"{complexity.capitalize()} tasks went to {model} most often." for complexity, model in leaders.items()
    ]
    more = len(pairs) - len(rows)
    notes = [f"{counted(more, 'more pair')} with fewer decisions: --json has them."] if more > 0 else []
    notes.append(
        "Share: of the decisions for this complexity. p50, p95: response times, the means of the hours' percentiles."
    )
    return Section("routing", "Where did the requests go?", sentences, Table(titles, rows, titles[2:]), notes)


def _incidents(report: Report, zone: tzinfo) -> Section:
    if not report.incidents:
        return Section("incidents", "Incidents", ["No finding was open."])
    if any(each.lost for each in report.incidents):
        order = "those that cost most first"
        ranked = sorted(
            report.incidents, key=lambda each: (-(each.lost or 0), -(each.traffic_share or 0.0), each.opened_at)
        )
    else:
        order = "newest first"
        ranked = sorted(report.incidents, key=lambda each: each.opened_at, reverse=True)
    rows = [
        (
            moment(each.opened_at, zone),
            age((each.closed_at - each.opened_at).total_seconds()) if each.closed_at else "still open",
            finding_title(each.kind),
            each.subject,
            _lost(each),
        )
        for each in ranked[:_MOST_ROWS]
    ]
    still = sum(each.closed_at is None for each in report.incidents)
    sentences = [f"{counted(len(report.incidents), 'finding')}, of which {still} {'is' if still == 1 else 'are'} open."]
    notes = [
        "Outcomes lost: against the success rate of the 24 hours before, in the hours that the finding touches. Findings "
        "may speak of the same outcomes: do not add them up."
    ]
    if len(ranked) > len(rows):
        notes.insert(0, f"{counted(len(ranked) - len(rows), 'more finding')}: --json has them.")
    titles = ("Opened", "Lasted", "Kind", "Subject", "Outcomes lost")
    return Section("incidents", f"Incidents, {order}", sentences, Table(titles, rows), notes)


def _lost(incident: Incident) -> str:
    if incident.lost is None:
        return f"not known: {incident.unknown}"
    return decimals(incident.lost) if incident.lost else "none"


def _learning(report: Report, zone: tzinfo) -> Section:
    learning = report.learning
    changes = learning.changes
    sentences = []
    if changes.changes:
        versions = f"versions {changes.first_version:,} to {changes.last_version:,}"
        sentences.append(f"{counted(changes.changes, 'published change')} of scores: {versions}.")
    else:
        sentences.append("No score was changed.")
    if learning.new:
        noun, their = counted(learning.new, "pair"), "its" if learning.new == 1 else "their"
        sentences.append(f"{noun} of a model and a complexity got {their} first score.")
    sentences += [_leader_sentence(each) for each in learning.leaders]
    for action in learning.interventions:
        why = f": {action.reason}" if action.reason else ""
        words = action.action.replace("_", " ")
        sentences.append(f"{moment(action.at, zone)}: {action.who}, {words} {action.subject}{why}.")
    rows = [
        (each.model, each.complexity, score(each.before), score(each.after), f"{each.after - each.before:+.2f}")
        for each in learning.moves
    ]
    titles = ("Model", "Complexity", "Before", "After", "Move")
    table = Table(titles, rows, titles[2:]) if rows else None
    return Section("learning", "Did the scores change?", sentences, table)


def _leader_sentence(change: LeaderChange) -> str:
    tasks = f"{change.complexity.capitalize()} tasks"
    if change.after is None:
        now = (
            f"{change.best_after:,} models now share the highest score"
            if change.best_after
            else "no model has a score now"
        )
    else:
        now = f"{change.after} now has the highest score"
    if change.before is None:
        before = f"{change.best_before:,} models shared it" if change.best_before else "no model had a score"
        return f"{tasks}: {now}; at the start of the time {before}."
    return f"{tasks}: {now}; at the start of the time {change.before} had it."


def _worth(report: Report) -> Section | None:
    if not report.learning.worth:
        return None
    sentences = [_worth_sentence(each) for each in report.learning.worth]
    notes = [
        "An estimate from the log: against giving each task to the model whose score was highest at the start of the time. "
        "Outcomes are weighed by 1 / the recorded probability of the choice; 95% intervals.",
        *(
            [f"It rests on the newest {MOST_WEIGHED:,} outcomes."]
            if sum(each.outcomes for each in report.learning.worth) >= MOST_WEIGHED
            else []
        ),
    ]
    known = any(each.unknown is None for each in report.learning.worth)
    return Section("worth", "Was learning worth it?", sentences, None, notes if known else ())


def _worth_sentence(worth: Worth) -> str:
    name = worth.complexity.capitalize()
    if worth.gained is None or worth.low is None or worth.high is None:
        return f"{name} tasks: the log cannot tell: {worth.unknown}."
    noun = "more" if worth.gained >= 0 else "fewer"
    interval = f"{_signed(worth.low)} to {_signed(worth.high)}"
    rates = f"{percent(worth.rate)}, and {percent(worth.rate_before)} if {worth.leader} had got every task"
    if worth.low <= 0 <= worth.high:
        return f"{name} tasks: no difference that the log can tell ({interval} of {number(worth.outcomes)}): {rates}."
    gained = number(abs(round(worth.gained)))
    return f"{name} tasks: about {gained} {noun} of {number(worth.outcomes)} succeeded ({interval}): {rates}."


def _budgets(report: Report, zone: tzinfo) -> Section | None:
    if not report.budgets:
        return None
    rows = [
        (
            each.meter,
            moment(each.period_start, zone),
            usd_of_nano(each.limit_nano_usd),
            usd_of_nano(each.spent_nano_usd),
            percent(each.spent_nano_usd / each.limit_nano_usd if each.limit_nano_usd else None),
        )
        for each in report.budgets[:_MOST_ROWS]
    ]
    over = sum(each.spent_nano_usd >= each.limit_nano_usd for each in report.budgets)
    sentences = [f"{counted(len(report.budgets), 'budget period')}, {over} used up."]
    titles = ("Budget", "From", "Limit", "Spent", "Used")
    return Section("budgets", "Budgets", sentences, Table(titles, rows, titles[2:]))


def _recommendations(report: Report) -> Section:
    found = recommendations(report)
    if not found:
        return Section("recommendations", "Recommendations", ["None."])
    sentences = [f"{each.text} ({each.command})." for each in found]
    return Section("recommendations", "Recommendations", sentences)


def _rate(totals: Totals) -> float | None:
    return totals.successes / _outcomes(totals) if _outcomes(totals) else None


def _outcomes(totals: Totals) -> int:
    return totals.successes + totals.failures


def _cost(totals: Totals) -> float | None:
    """Return the cost of a success in US dollars, as if the outcomes of unknown cost had cost as much as the others."""
    priced = totals.successes * (1 - totals.unknown)
    return totals.cost_nano_usd / 1e9 / priced if priced else None


def _spent(totals: Totals) -> str:
    return "The costs are not known" if totals.unknown == 1.0 else f"{usd_of_nano(totals.cost_nano_usd)} were spent"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '−'}{number(abs(round(value)))}"


def _milliseconds(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f} ms"
