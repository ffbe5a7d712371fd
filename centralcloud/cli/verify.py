"""`centralcloud verify`: every message accounted for, every aggregate recounted, every score recomputed."""

from typing import Annotated

import typer

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_fleet_settings, read_settings, this_operator
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows
from centralcloud.runtime.wording import counted


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Correct every aggregate that differs.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Instead, recompute every score from its evidence.")] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Verify that no message was lost and none was counted twice.

    Checks that every message is accounted for, and recounts every aggregate (metrics and evidence) from the records,
    including those that retention has dropped. Exit code 1 when something differs. Ingest may run meanwhile, also during a
    repair.
    """
    from centralcloud.administration import verification

    if scores:
        _verify_scores(json_output=json_output)
        return
    operator = this_operator(reason)
    with open_database(read_settings(), "verify") as database:
        if repair:
            found = retry_on_contention(lambda: verification.repair(database, operator))
        else:
            found = verification.verify(database)
        left = verification.verify(database) if repair and not found.ok else found
    if json_output:
        print_json(
            {
                "ok": left.ok,
                "checked": left.ledger,
                "differences": [difference._asdict() for difference in left.differences],
                "repaired": len(found.differences) - len(left.differences),
            }
        )
    else:
        print_rows([found.ledger], dict.fromkeys(found.ledger), empty="")
        columns = dict.fromkeys(("table", "key", "stored", "recounted"))
        rows = [difference._asdict() for difference in found.differences]
        print_rows(rows, columns, empty="nothing differs", texts=("key", "stored", "recounted"))
        if repair and not found.ok:
            print_line(
                f"{counted(len(found.differences), 'difference')} found, {len(left.differences)} left after the repair"
            )
    if not left.ok:
        raise typer.Exit(1)


def _verify_scores(*, json_output: bool) -> None:
    from centralcloud.administration.score_audit import audit_scores

    settings = read_settings()
    with open_database(settings, "verify") as database:
        audit = audit_scores(database, read_fleet_settings(settings, database).rules)
    differences = [difference._asdict() for difference in audit.differences]
    ok = not differences
    if json_output:
        checked = {"scores": audit.checked}
        print_json({"ok": ok, "checked": checked, "differences": differences, "unknown_rules": audit.unknown_rules})
    else:
        empty = f"{counted(audit.checked, 'score')} recomputed, nothing differs"
        columns = dict.fromkeys(("table", "key", "stored", "recomputed"))
        print_rows(differences, columns, empty=empty, texts=("key",))
        for rule in audit.unknown_rules:
            print_line(f"the scores of the rule {rule} were not recomputed: it is not installed here")
    if not ok:
        raise typer.Exit(1)
