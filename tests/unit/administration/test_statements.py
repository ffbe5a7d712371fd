"""Statements of which there are two, for a table and for that of what was dropped: no parameter can name a table."""

from importlib.resources import files

import pytest

_SQL = files("centralcloud.administration") / "sql"


@pytest.mark.parametrize("table", ["evidence", "task_evidence"])
def test_dropped_evidence_is_renamed_as_evidence_is(table: str) -> None:
    statement, dropped = ((_SQL / f"rename_{name}.sql").read_text() for name in (table, f"dropped_{table}"))
    assert f"public.dropped_{table} " in dropped
    assert dropped.replace(f"public.dropped_{table} ", f"public.{table} ") == statement
