"""Actions of operators, in words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from centralcloud.dashboard.pages.action_values import Change
from centralcloud.dashboard.pages.action_words import VERBS, describe
from centralcloud.dashboard.sources.activity import ActionRow
from centralcloud.store.operator_actions import Action

_AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def _row(action: str, subject: str, before: Any = None, after: Any = None) -> ActionRow:
    texts = [None if each is None else json.dumps(each) for each in (before, after)]
    return ActionRow(1, _AT, "ana as centralcloud_worker", "cli", "host", action, subject, None, *texts, False, None)


def test_every_action_of_the_log_has_words_of_its_own() -> None:
    assert set(VERBS) == {each.value for each in Action}
    for action in Action:
        deed = describe(_row(action, "x/complex"))
        assert "_" not in f"{deed.verb} {deed.subject} {deed.rest}", action


def test_a_pin_is_one_sentence_with_its_end_and_the_command_that_removes_it() -> None:
    after = {"score": 2.0, "pin": 2.0, "until": "2026-12-01T12:00:00+00:00"}
    deed = describe(_row("pin", "vendor/ember reason/complex", {"score": 3.421, "pin": None}, after))
    assert (deed.verb, deed.subject, deed.rest) == ("pinned", "vendor/ember reason for complex tasks", "at 2.00 until")
    assert deed.until == datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert deed.changes == (Change("Score", "3.42", "2.00"),)
    assert deed.undo == "centralcloud scores unpin 'vendor/ember reason' complex"
    assert deed.url == "/pair?model=vendor%2Fember+reason&complexity=complex"


def test_an_unpinned_score_can_be_pinned_again_until_the_same_time() -> None:
    before = {"pin": 2.5, "until": "2026-12-01 12:00:00+00"}
    deed = describe(_row("unpin", "m/simple", before))
    assert deed.undo == "centralcloud scores pin m simple 2.5 --until 2026-12-01T12:00:00+00:00"


def test_a_rollback_lists_the_scores_that_moved_most_first() -> None:
    before = {"scores": {f"m{number}/simple": 3.0 for number in range(20)}}
    after = {"to_version": 7, "scores": {f"m{number}/simple": 3.0 + number / 10 for number in range(20)}}
    deed = describe(_row("rollback", "scores", before, after))
    assert (deed.rest, deed.more) == ("back to version 7", 8)
    assert deed.changes[0] == Change("m19 for simple tasks", "3.00", "4.90")


def test_a_setting_goes_back_to_its_value_and_not_to_an_unknown_default() -> None:
    deed = describe(_row("change_setting", "finding.traffic_share", {"value": 0.02}, {"value": 0}))
    assert deed.undo == "centralcloud settings set finding.traffic_share 0.02"
    assert deed.changes == (Change("finding.traffic_share", "0.02", "0"),)
    assert describe(_row("change_setting", "rule", None, {"value": "adaptive"})).undo is None


def test_a_change_of_the_configuration_names_the_fields_and_only_the_newest_can_be_undone() -> None:
    before = {"entries": {"policy/fast": {"max_cost_per_task": 0.02, "order": "priority"}}}
    after = {
        "config_version": 9,
        "changed": 1,
        "entries": {"policy/fast": {"max_cost_per_task": 0.05, "order": "priority"}},
    }
    row = _row("change_configuration", "policy/fast", before, after)
    deed = describe(row, 9)
    assert (deed.verb, deed.subject) == ("changed", "the policy fast")
    assert deed.changes == (Change("the policy fast: max cost per task", "0.02", "0.05"),)
    assert deed.undo == "centralcloud configuration rollback --to 8"
    assert describe(row, 10).undo is None
    of_migration = row._replace(who="migration as postgres", source="revision 0021")
    assert (of_migration.way, describe(of_migration, 9).undo) == ("migration", None), (
        "it would remove the default policies"
    )


@pytest.mark.parametrize(("merged", "undo"), [([], "centralcloud models rename new old"), (["simple"], None)])
def test_a_renaming_can_be_undone_unless_it_merged_two_models(merged: list[str], undo: str | None) -> None:
    after = {"model": "new", "merged": merged, "records": 5, "scores": {}}
    assert describe(_row("rename_model", "old", {"model": "old"}, after)).undo == undo


@pytest.mark.parametrize("value", ["[1, 2]", '"text"', "5", '{"scores": 7, "until": 3, "entries": [1], "pin": "x"}'])
@pytest.mark.parametrize("action", [*VERBS, "an_action_of_a_later_version"])
def test_values_of_another_form_are_shown_and_break_nothing(action: str, value: str) -> None:
    row = _row(action, "m/simple")._replace(before=value, after=value)
    assert describe(row).verb
