"""Roll all scores back to those of an earlier version."""

from collections.abc import Sequence
from typing import Final

from centralcloud.administration.score_overrides import (
    SeenScores,
    UnknownVersionError,
    preview_rollback,
    read_scores_seen,
    roll_back,
)
from centralcloud.contracts.errors import quote
from centralcloud.dashboard.actions.action import Action, Done, Move, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form, read_version
from centralcloud.dashboard.actions.reach import instances_that_follow, traffic_of_pairs
from centralcloud.dashboard.pages.addresses import COMPLEXITIES, action_url, pair_url
from centralcloud.dashboard.web.page import PageError
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.learning.current_scores import HOLD_OUTCOMES
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.wording import counted
from centralcloud.settings import Settings
from centralcloud.store.operator_actions import Operator

_TO: Final = "to"


class RollBackAction(Action):
    """Publish the scores of an earlier version again."""

    name = "rollback"
    title = "Roll the scores back"
    page = "/scores"
    subject: Sequence[str] = (_TO,)

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return every score that changes."""
        version = _version(form)
        with scene.operators.transaction() as connection:
            try:
                changes = preview_rollback(connection, version)
            except UnknownVersionError as error:
                raise PageError(404, "No such version", f"{error}.", command="centralcloud scores history") from None
            seen = read_scores_seen(connection)
        moves = sorted(
            (
                Move(each.model, each.complexity, pair_url(each.model, each.complexity), each.old_score, each.new_score)
                for each in changes
            ),
            key=lambda move: (move.model, COMPLEXITIES.index(move.complexity)),
        )
        scores, differ = counted(len(moves), "score"), "differs" if len(moves) == 1 else "differ"
        pairs = {(move.model, move.complexity) for move in moves}
        return Preview(
            question=f"Roll all scores back to the time of version {version:,}?",
            now=(f"The newest version is {seen.version:,}; {scores} {differ} from those of then.",),
            then=(
                f"{scores} of then {'is' if len(moves) == 1 else 'are'} published again. Pins and retirements stay.",
                "So are those that the learner moves a little until you confirm.",
                f"Each pair is held until it has {HOLD_OUTCOMES} new outcomes: the evidence up to now is not used again.",
            ),
            effects=(instances_that_follow(scene.snapshot), traffic_of_pairs(scene.snapshot, pairs)),
            seen=f"{seen.version} {seen.exempt}",
            obstacle=None if moves else f"The scores are already those of version {version:,}.",
            moves=moves,
            defaults={},
        )

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Roll back."""
        version = _version(form)
        with scene.operators.transaction() as connection:
            fleet = FleetSettingsSource(load_settings(Settings)).read(connection)
        newest, _, exempt = seen.partition(" ")
        expected = SeenScores(read_version(newest), exempt)
        done = roll_back(scene.operators, fleet.rules, version, fleet.reference, operator, expected=expected)
        return Done(
            f"Rolled {counted(len(done.undone), 'score')} back to the time of version {version:,}.",
            f"Roll back to version {done.from_version:,}",
            action_url(self.name, to=str(done.from_version)),
        )

    def command(self, form: Form) -> str:
        """Return `centralcloud scores rollback`."""
        return command("scores", "rollback", options=[(f"--{_TO}", form.get(_TO, "")), why(form.get("reason", ""))])


def _version(form: Form) -> int:
    text = form.get(_TO, "")
    version = read_version(text)
    if version < 1:
        raise PageError(
            404,
            "No such version",
            f"Found {quote(text)}, expected a version that the history of the scores shows.",
            command="centralcloud scores history",
        )
    return version
