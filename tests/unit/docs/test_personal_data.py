"""docs/explanation/personal-data.md names every column that can hold text of others."""

import re
from collections import defaultdict
from typing import Final

from sqlalchemy import ARRAY, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine
from support.repository import REPOSITORY

from centralcloud.store.tables import metadata

#: Columns with text of CentralCloud's own: fixed words, names of rules and settings, complexities.
_NEVER_PERSONAL: Final = frozenset(
    {
        "routing_records.complexity",
        "routing_records.outcome",
        "routing_records.error_kind",
        "model_routing_metrics.complexity_level",
        "evidence.complexity_level",
        "dropped_evidence.complexity_level",
        "dropped_metrics.complexity_level",
        "task_evidence.complexity_level",
        "dropped_task_evidence.complexity_level",
        "model_task_scores.complexity_level",
        "model_performance.complexity_level",
        "model_scores.complexity_level",
        "model_scores.rule",
        "model_score_history.complexity_level",
        "model_score_history.kind",
        "model_score_history.rule",
        "rule_scores.complexity_level",
        "rule_scores.kind",
        "rule_scores.rule",
        "score_pins.complexity_level",
        "score_holds.complexity_level",
        "learning_runs.rule",
        "feedback.complexity_level",
        "usage_roll_ups.complexity",
        "dead_letters.queue_name",
        "dead_letters.field",
        "dead_letters.resolution",
        "leases.name",
        "model_changes.complexity_level",
        "findings.kind",
        "fleet_settings.name",
        "fleet_settings.value",
        "operator_actions.action",
        "configuration_entries.kind",
        "configuration_history.kind",
        "target_health.kind",
        "target_health.state",
        "target_health.reason",
        "spend_periods.unit",
        "task_classifiers.sha256",
        "escalation_roll_ups.reason",
    }
)


def _holds_text(kind: TypeEngine) -> bool:  # type: ignore[type-arg]
    return isinstance(kind.item_type if isinstance(kind, ARRAY) else kind, String | JSONB)


def _columns_named_in_the_page() -> set[str]:
    """Return each `table.column` of the section about where data is kept; a row has tables, and then their columns."""
    page = (REPOSITORY / "docs/explanation/personal-data.md").read_text()
    (section,) = re.findall(r"^## Where it is kept.*?(?=^## )", page, re.DOTALL | re.MULTILINE)
    named = defaultdict(set)
    for line in section.splitlines():
        cells = line.split("|")
        if len(cells) == 5:
            for table in re.findall(r"`(\w+)`", cells[1]):
                named[table] |= set(re.findall(r"`(\w+)`", cells[2]))
    return {f"{table}.{column}" for table, columns in named.items() if table in metadata.tables for column in columns}


def test_the_page_names_every_column_that_can_hold_personal_data() -> None:
    """A new column of text is described there, or is added to the columns that cannot hold any."""
    columns = {
        str(column) for table in metadata.tables.values() for column in table.columns if _holds_text(column.type)
    }
    assert columns - _NEVER_PERSONAL - _columns_named_in_the_page() == set()
    assert _NEVER_PERSONAL - columns == set(), "these do not exist"
    assert _NEVER_PERSONAL & _columns_named_in_the_page() == set(), "these are in the page, too"


def test_every_column_in_the_page_exists() -> None:
    columns = {str(column) for table in metadata.tables.values() for column in table.columns}
    named = _columns_named_in_the_page()
    assert len(named) > 40
    assert named - columns == set()
