"""`centralcloud verify`: every message accounted for, every aggregate recounted, every score recomputed."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import psycopg
import typer

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_fleet_settings, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import retry_on_contention, summarize_error
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows, print_text
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import counted
from centralcloud.store.operator_actions import Operator

if TYPE_CHECKING:
    from centralcloud.administration.unaccounted import Unaccounted
    from centralcloud.administration.verification import Verification

#: Ranges of missing ids that are printed; the JSON output has more.
_PRINTED_RANGES = 20
#: In the ledger: the messages that were sent. Only a sequence that is behind its table makes them differ.
_SENT = "sent"


class Outcome(NamedTuple):
    """A verification as it was found, and as it was left after the repair; both are the same without one.

    Attributes:
        limit: how many unaccounted messages are accepted without `--repair`.
        accepted: the missing messages that later verifications do not report; None if there are none, or too many.
    """

    found: "Verification"
    left: "Verification"
    limit: int
    accepted: "Unaccounted | None" = None

    @property
    def ok(self) -> bool:
        """Whether nothing differs any more, and no more messages are unaccounted for than the limit allows."""
        return self.left.ok and self.left.unaccounted.number <= self.limit


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Correct every aggregate that differs.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Instead, recompute every score from its evidence.")] = False,
    unaccounted_limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Accept so many messages whose ids were drawn and that are nowhere since the last verification; default: "
            "0.1% of the ids drawn since, at least 40, and 33 more after a restart of the server.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before a repair that forgets more than half of the events.")
    ] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Verify that no message was lost and none was counted twice.

    Checks that every message is accounted for, and recounts every aggregate (metrics and evidence) from the records,
    including those that retention has dropped. Exit code 1 when something differs, or when more messages are nowhere than
    --unaccounted-limit allows; sends that were rolled back look the same. Ingest may run meanwhile, also during a repair.
    """
    if scores:
        _verify_scores(json_output=json_output)
        return
    operator = this_operator(reason)
    with open_database(read_settings(), "verify") as database:
        outcome = verify_database(database, operator, repair=repair, limit=unaccounted_limit, yes=yes)
    if json_output:
        print_json(report(outcome))
    else:
        print_outcome(outcome, repair=repair)
    if not outcome.ok:
        raise typer.Exit(1)


def verify_database(
    database: Database, operator: Operator, *, repair: bool, limit: int | None, yes: bool = False
) -> Outcome:
    """Verify, and repair if something differs and `repair` says so. Store the position of a verification that accepts.

    Asks before a repair that forgets more than half of the events, unless `yes` is given.
    """
    from centralcloud.administration import verification
    from centralcloud.administration.unaccounted import accept

    found = (
        _repair(database, operator, yes=yes) if repair else retry_on_contention(lambda: verification.verify(database))
    )
    limit = found.unaccounted.limit(limit)
    beyond = found.unaccounted.number > limit
    left = verification.verify(database) if repair and not found.ok else found
    accepted = None
    if repair or not beyond:
        missing = left.unaccounted
        try:
            retry_on_contention(lambda: accept(database, missing, operator if beyond else None))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
            print_line(f"the position of this verification was not stored: {summarize_error(error)}", err=True)
        else:
            accepted = missing if missing.number else None
            if beyond:
                left = verification.verify(database)
    return Outcome(found, left, limit, accepted)


def _repair(database: Database, operator: Operator, *, yes: bool) -> "Verification":
    from centralcloud.administration.verification import LargeLossError, repair

    try:
        return retry_on_contention(lambda: repair(database, operator, accept_loss=yes))
    except LargeLossError as loss:
        try:
            confirm(f"{loss}.\nRepair all the same?", yes=False, otherwise="nothing was repaired")
        except SettingsError as error:
            raise SettingsError(f"{loss}. Nothing was repaired; {error}") from None
    return retry_on_contention(lambda: repair(database, operator, accept_loss=True))


def report(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome for the JSON output."""
    found, left, limit, _ = outcome
    unaccounted = left.unaccounted
    return {
        "ok": outcome.ok,
        "checked": left.ledger,
        "differences": [difference._asdict() for difference in left.differences],
        "repaired": len(found.differences) - len(left.differences),
        "unaccounted": {
            "number": unaccounted.number,
            "limit": limit,
            "ids_drawn": unaccounted.drawn,
            "since": unaccounted.since,
            "ranges": [each._asdict() for each in unaccounted.ranges],
            "more_ranges": unaccounted.more_ranges,
            "accepted": _accepted(outcome),
        },
    }


def _accepted(outcome: Outcome) -> dict[str, int] | None:
    if outcome.accepted is None or (span := outcome.accepted.span) is None:
        return None
    return {"number": outcome.accepted.number, "first_id": span[0], "last_id": span[1]}


def print_outcome(outcome: Outcome, *, repair: bool) -> None:
    """Print the outcome for a person."""
    found, left, *_ = outcome
    print_rows([found.ledger], dict.fromkeys(found.ledger), empty="")
    columns = dict.fromkeys(("table", "key", "stored", "recounted"))
    rows = [difference._asdict() for difference in found.differences]
    print_rows(rows, columns, empty="nothing differs", texts=("key", "stored", "recounted"))
    if any(_SENT in (each.stored or {}) for each in left.differences):
        print_text(
            "more messages were sent than ids were drawn: the sequence of the queue is behind, which --repair does not "
            "change; run `centralcloud repair sequences`"
        )
    _print_unaccounted(outcome)
    if repair and not found.ok:
        print_text(
            f"{counted(len(found.differences), 'difference')} found, {len(left.differences)} left after the repair"
        )


def _print_unaccounted(outcome: Outcome) -> None:
    unaccounted = outcome.found.unaccounted
    since = f" since {unaccounted.since.astimezone():%Y-%m-%d %H:%M:%S}" if unaccounted.since else ""
    drawn = f"{counted(unaccounted.drawn, 'message id')} drawn{since}"
    if not unaccounted.number:
        print_text(f"no message is missing: {drawn}")
        return
    print_text(
        f"{unaccounted.number:,} of {drawn} {'is' if unaccounted.number == 1 else 'are'} nowhere: expected at most "
        f"{outcome.limit:,}. Messages that others removed from the queue, or sends that were rolled back"
    )
    shown = unaccounted.ranges[:_PRINTED_RANGES]
    columns = dict.fromkeys(("first_id", "last_id", "after", "before"))
    print_rows([each._asdict() for each in shown], columns, empty="")
    if more := len(unaccounted.ranges) - len(shown) + unaccounted.more_ranges:
        print_text(f"and {counted(more, 'older range')}")
    if accepted := _accepted(outcome):
        first, last = accepted["first_id"], accepted["last_id"]
        ids = f"id {first}" if first == last else f"ids {first} to {last}"
        print_text(
            f"accepted {counted(accepted['number'], 'missing message')}, {ids}: later verifications do not report "
            f"{'it' if accepted['number'] == 1 else 'them'}"
        )


def _verify_scores(*, json_output: bool) -> None:
    from centralcloud.administration.score_audit import audit_scores

    settings = read_settings()
    with open_database(settings, "verify") as database:
        audit = audit_scores(database, read_fleet_settings(settings, database).rules)
    differences = [difference._asdict() for difference in audit.differences]
    ok = not differences
    if json_output:
        print_json(
            {
                "ok": ok,
                "checked": {"scores": audit.checked},
                "differences": differences,
                "unknown_rules": audit.unknown_rules,
                "unverified": [each._asdict() for each in audit.unverified],
            }
        )
    else:
        empty = f"{counted(audit.checked, 'score')} recomputed, nothing differs"
        columns = dict.fromkeys(("table", "key", "stored", "recomputed"))
        print_rows(differences, columns, empty=empty, texts=("key",))
        for rule in audit.unknown_rules:
            print_text(f"the scores of the rule {rule} were not recomputed: it is not installed here")
        for each in audit.unverified:
            scores = f"{counted(each.scores, 'score')} of the rule {each.rule}"
            print_text(f"{scores} not verified: computed before a change of {', '.join(each.settings)}")
    if not ok:
        raise typer.Exit(1)
