"""The words of an evaluation. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from centralcloud.evaluation.before_after import BeforeAfter
from centralcloud.evaluation.exploration import Exploration, ExplorationBudget, LeaderChange, WeekPrice
from centralcloud.evaluation.off_policy import Difference, TableValue, Value
from centralcloud.evaluation.report import OffPolicy
from centralcloud.runtime.wording import counted, decimals, percent

VALUE_TITLES: Final = ("scores", "complexity", "decisions", "worth", "success", "at least", "at most", "as it was")
WEEK_TITLES: Final = ("week to", "complexity", "decisions", "probes", "share", "successes lost", "extra USD")
_MOST_CHANGES: Final = 10
_ALL: Final = "all"


def value_rows(tables: Sequence[TableValue]) -> list[tuple[Any, ...]]:
    """Return a row for each score table and complexity, and for each table as a whole."""
    return [_value_row(table.name, value) for table in tables for value in (*table.complexities, table.whole)]


def _value_row(name: str, value: Value) -> tuple[Any, ...]:
    found = [None if number is None else percent(number) for number in (value.success, value.low, value.high)]
    return (
        name.removeprefix("the "),
        value.complexity or _ALL,
        value.decisions,
        round(value.effective),
        *found,
        percent(value.logged) if value.decisions else None,
    )


def off_policy_lines(found: OffPolicy) -> Iterator[str]:
    """Yield the sentences below the table of values."""
    names = [table.name for table in found.tables]
    for each in found.differences:
        yield f"{each.complexity or 'All tasks'}: {difference_words(each, *names)}"
    for table in found.tables:
        for value in (*table.complexities, table.whole):
            if value.refused:
                yield f"{value.complexity or 'All tasks'}, {table.name}: not known, {value.refused}"
    yield from (f"Note: {note}" for note in found.notes)


def difference_words(each: Difference, first: str, second: str) -> str:
    """Return the difference of two tables in words."""
    if round(each.success, 3) == 0:
        estimate = f"{first} have as much success as {second}"
    else:
        more = "more" if each.success > 0 else "less"
        estimate = f"{first} have {_points(each.success)} {more} success than {second}"
    if each.low > 0:
        return f"{estimate} (estimate; at least {_points(each.low)} more)"
    if each.high < 0:
        return f"{estimate} (estimate; at least {_points(each.high)} less)"
    return f"{estimate} (estimate; between {_points(each.low)} less and {_points(each.high)} more)"


def before_after_lines(found: BeforeAfter | None) -> Iterator[str]:
    """Yield the comparison of the times before and after a switch."""
    if found is None:
        yield "No switch of the rule is known: --switch takes a time or a version of the scores."
        return
    yield f"{found.at.astimezone():%Y-%m-%d %H:%M}: {found.switch}"
    for name, count, rate in zip(("before", "after"), found.outcomes, found.rates, strict=True):
        mean = "" if rate is None else f", success {percent(rate)}"
        yield f"{name}: {counted(count, 'outcome')}{mean}"
    if found.difference is None or found.adjusted is None or found.low is None or found.high is None:
        yield f"No adjusted difference: {found.unknown}"
    else:
        before, after = map(percent, found.adjusted)
        low, high = (_signed(number) for number in (found.low, found.high))
        yield (
            f"with the same mix of complexities and task types: {before} before, {after} after, "
            f"{_signed(found.difference)} points (95% interval {low} to {high}; {percent(found.shared)} of the outcomes)"
        )
    yield from (f"Note: {note}" for note in found.notes)


def week_rows(weeks: Sequence[WeekPrice]) -> list[tuple[Any, ...]]:
    """Return a row for each week and complexity."""
    return [
        (
            f"{each.until.astimezone():%Y-%m-%d}",
            each.complexity or _ALL,
            each.decisions,
            each.probes,
            percent(each.probes / each.decisions),
            _lost(each),
            None if each.extra_usd is None else decimals(each.extra_usd, 4),
        )
        for each in weeks
    ]


def _lost(each: WeekPrice) -> str | None:
    if each.lost is None or each.low is None or each.high is None:
        return None
    return f"{decimals(each.lost, 1)} ({decimals(each.low, 1)} to {decimals(each.high, 1)})"


def exploration_lines(found: Exploration) -> Iterator[str]:
    """Yield the sentences below the table of weeks."""
    probed = [each for each in found.changes if each.probes]
    if found.changes:
        yield (
            f"{counted(len(found.changes), 'change')} of the leader by a rule, {len(probed)} with probes among the outcomes "
            "of the 7 days before"
        )
    yield from (_change_words(each) for each in probed[:_MOST_CHANGES])
    if len(probed) > _MOST_CHANGES:
        yield f"and {len(probed) - _MOST_CHANGES} more (--json shows all)"
    yield from (_budget_words(each) for each in found.budgets)
    if not found.budgets:
        yield "No budget of exploration: nothing limits what probes cost."
    yield from (f"Note: {note}" for note in found.notes)


def _change_words(each: LeaderChange) -> str:
    words = (
        f"{each.at.astimezone():%Y-%m-%d %H:%M}, {each.complexity}: {each.after} leads instead of {each.before}; "
        f"{each.probes} of its {counted(each.outcomes, 'outcome')} of the 7 days before were probes"
    )
    if each.gained is None:
        return f"{words}; gain not known: too few outcomes"
    more = "more" if each.gained >= 0 else "fewer"
    gained = counted(abs(round(each.gained)), "success", "successes")
    return f"{words}; in {counted(each.tasks, 'task')} since then {gained} {more} than at the rate of {each.before}"


def _budget_words(each: ExplorationBudget) -> str:
    return (
        f"Budget {each.budget_id}: {decimals(each.spent_usd, 4)} of {decimals(each.limit_usd, 2)} USD spent in this period "
        f"({each.period}), beyond the cheapest model that could have answered"
    )


def _points(share: float) -> str:
    points = f"{abs(100 * share):.1f}"
    return f"{points} point" if points == "1.0" else f"{points} points"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}"
