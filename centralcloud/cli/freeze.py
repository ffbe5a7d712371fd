"""`centralcloud freeze` and `centralcloud unfreeze`: stop and resume the publication of learned scores."""

from typing import Annotated

import typer

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line


def freeze(
    reason: Annotated[str, typer.Option(help="Why, for anyone who finds the scores frozen.")],
    json_output: AsJson = False,
) -> None:
    """Publish no learned scores until `unfreeze`. The rules continue to learn; pins and rollbacks still work."""
    from centralcloud.administration.score_overrides import freeze as freeze_scores

    if not reason.strip():
        raise SettingsError("--reason is empty: expected why, for anyone who finds the scores frozen")
    operator = this_operator(reason)
    with open_database(read_settings(), "freeze") as database:
        freeze_scores(database, reason, operator)
    if json_output:
        print_json({"frozen": True, "reason": reason})
        return
    print_line(f"frozen: no learned score is published until `centralcloud unfreeze` ({reason})")


def unfreeze(reason: Reason = None, json_output: AsJson = False) -> None:
    """Publish learned scores again.

    Takes effect with the next run of the learner.
    """
    from centralcloud.administration.score_overrides import unfreeze as unfreeze_scores

    operator = this_operator(reason)
    with open_database(read_settings(), "unfreeze") as database:
        was_frozen = unfreeze_scores(database, operator)
    if json_output:
        print_json({"frozen": False, "was_frozen": was_frozen})
        return
    print_line("published again from the next run of the learner on" if was_frozen else "nothing was frozen")
