"""Every statement of both programs names the schema of its tables; the check finds a name without it."""

import sys
from pathlib import Path

import pytest
from support.repository import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tools"))
import qualify_sql

_NAMES = {"evidence", "findings", "instances", "routing_records"}


def test_every_statement_names_the_schema_of_its_tables() -> None:
    names = qualify_sql.relations()
    assert {"routing_records", "model_scores", "evidence_of_records", "score_pins"} <= names
    files = qualify_sql.statements()
    assert len(files) > 100
    unqualified = {
        f"{Path(file).relative_to(REPOSITORY)}: {found.name}"
        for file in files
        for found in qualify_sql.unqualified(file.read_text("utf-8"), names)
    }
    assert not unqualified, "run tools/qualify_sql.py --fix"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT n FROM evidence e", "SELECT n FROM public.evidence e"),
        ("DELETE FROM findings USING instances", "DELETE FROM public.findings USING public.instances"),
        ("SELECT FROM instances i, evidence WHERE true", "SELECT FROM public.instances i, public.evidence WHERE true"),
        ("INSERT INTO evidence (findings) VALUES (1)", "INSERT INTO public.evidence (findings) VALUES (1)"),
        ("UPDATE evidence SET n = evidence.n", "UPDATE public.evidence SET n = evidence.n"),
        ("SELECT to_regclass('evidence'), 'findings'", "SELECT to_regclass('public.evidence'), 'findings'"),
        ("SELECT 'routing_records'::regclass", "SELECT 'public.routing_records'::regclass"),
        ("LOCK TABLE evidence", "LOCK TABLE public.evidence"),
    ],
)
def test_a_name_without_its_schema_is_found_and_completed(text: str, expected: str) -> None:
    assert qualify_sql.qualify(text, _NAMES) == expected
    assert qualify_sql.qualify(expected, _NAMES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "-- the rows FROM evidence\nSELECT 'FROM evidence'",
        "WITH evidence AS (SELECT 1 AS n) SELECT n FROM evidence",
        "WITH a AS (SELECT 1), findings (n) AS MATERIALIZED (SELECT 2) SELECT n FROM findings",
        "SELECT findings, evidence AS instances FROM public.evidence",
        "SELECT count(*) AS findings, evidence FROM pgmq.evidence",
    ],
)
def test_columns_common_tables_and_texts_stay(text: str) -> None:
    assert qualify_sql.qualify(text, _NAMES) == text
