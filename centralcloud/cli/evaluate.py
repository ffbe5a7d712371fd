"""`centralcloud evaluate`: what learning was worth, by experiments and by the log."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from centralcloud.cli.arguments import parse_moment, refuse_empty
from centralcloud.cli.context import open_database, read_settings
from centralcloud.cli.report import as_json
from centralcloud.contracts import SettingsError
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_table, print_text

if TYPE_CHECKING:
    import psycopg

    from centralcloud.contracts.model_choice.score_table import ScoreTable
    from centralcloud.evaluation.report import Evaluation, Switch

_CONFIGURED = "configured"


def evaluate(
    since: Annotated[
        str | None,
        typer.Option(help="Value the scores by decisions from then on: 2026-11-20T14:00, or an age; by default 7d."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until then, by default now.")] = None,
    against: Annotated[
        str,
        typer.Option(
            help="Compare the published scores with these: `configured` (without learning), a rule, a version of the "
            "scores, or those of a time or an age like 7d."
        ),
    ] = _CONFIGURED,
    switch: Annotated[
        str | None,
        typer.Option(
            help="Compare the times before and after this: a version of the scores, a time, or an age; by default the "
            "last change of the rule."
        ),
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=52, help="Weeks of exploration.")] = 4,
    json_output: AsJson = False,
) -> None:
    """Show what learning was worth: experiments, scores valued by the log, a switch, the price of probes.

    Score tables are valued by decisions that were drawn with a recorded probability. Where the log has not tried what a
    table would do there is no number, but the name of the canary that would tell.
    """
    from centralcloud.evaluation.report import evaluate as read
    from centralcloud.monitoring.experiments import list_experiments

    refuse_empty(against, "--against", "a table of scores")
    refuse_empty(since, "--since", "a time")
    refuse_empty(until, "--until", "a time")
    end = parse_moment(until, "--until") if until else datetime.now(UTC)
    start = parse_moment(since, "--since") if since else end - timedelta(days=7)
    if start >= end:
        raise SettingsError(
            f"found --since {start:%Y-%m-%dT%H:%M} after --until {end:%Y-%m-%dT%H:%M}, expected a time before it"
        )
    # A person can interrupt it.
    with (
        open_database(read_settings(), "evaluate") as database,
        database.transaction(limit_seconds=None) as connection,
    ):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        experiments = list_experiments(connection, with_ended=True)
        found = read(connection, start, end, against=_table(against), switch=_switch(switch, end), weeks=weeks)
    if json_output:
        print_json({"experiments": experiments, **as_json(found)})
    else:
        print_text("EXPERIMENTS")
        columns = dict.fromkeys(("id", "status", "treatment", "sessions", "result"))
        print_rows(
            experiments, columns, empty="no experiments: `centralcloud experiments start` begins one", texts=("result",)
        )
        print_text("")
        _print(found)


def _table(text: str) -> "Callable[[psycopg.Connection[Any]], ScoreTable]":
    """Return what reads the table that an option names."""
    from centralcloud.evaluation.reading import read_at, read_at_version, read_configured, read_rules

    def read(connection: "psycopg.Connection[Any]") -> "ScoreTable":
        if text == _CONFIGURED:
            return read_configured(connection)
        if text.isdecimal():
            return read_at_version(connection, _version(text, "--against"), "--against")
        rules = read_rules(connection)
        if text in rules:
            return rules[text]
        try:
            moment = parse_moment(text, "--against")
        except SettingsError:
            known = ", ".join((_CONFIGURED, *rules))
            raise SettingsError(
                f"--against: found {text!r}, expected one of {known}, a version of the scores, a time like 2026-11-20T14:00 "
                "or an age like 7d"
            ) from None
        return read_at(connection, moment)

    return read


def _switch(text: str | None, until: datetime) -> "Callable[[psycopg.Connection[Any]], Switch | None]":
    """Return what reads the switch that an option names."""
    from centralcloud.evaluation.report import Switch, switch_of_rule, switch_of_version

    refuse_empty(text, "--switch", "a time or a version")
    if text is None:
        return lambda connection: switch_of_rule(connection, until)
    if text.isdecimal():
        version = _version(text, "--switch")
        return lambda connection: switch_of_version(connection, version, "--switch")
    at = parse_moment(text, "--switch")
    if at >= until:
        raise SettingsError(f"--switch: found {text!r}, expected a time before --until")
    return lambda _: Switch(at, "the moment of --switch")


def _version(text: str, option: str) -> int:
    if len(text) > 18:
        raise SettingsError(
            f"{option}: found {text[:20]!r}, expected a version that `centralcloud scores history` shows"
        )
    return int(text)


def _print(found: "Evaluation") -> None:
    from centralcloud.evaluation.text import (
        VALUE_TITLES,
        WEEK_TITLES,
        before_after_lines,
        exploration_lines,
        off_policy_lines,
        value_rows,
        week_rows,
    )

    print_text("SCORES BY THE LOG")
    print_table(VALUE_TITLES, value_rows(found.off_policy.tables), empty="")
    for line in off_policy_lines(found.off_policy):
        print_text(line)
    print_text("")
    print_text("BEFORE AND AFTER")
    for line in before_after_lines(found.before_after):
        print_text(line)
    print_text("")
    print_text("EXPLORATION")
    print_table(
        WEEK_TITLES, week_rows(found.exploration.weeks), empty="no decision with an id has an outcome in this time"
    )
    for line in exploration_lines(found.exploration):
        print_text(line)
