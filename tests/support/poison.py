"""Hostile texts in every place of a database that takes a text, by plain SQL: past every check of the programs."""

import json
from typing import Any, Final

import psycopg
from psycopg import sql

#: Ends each context that a page may put a text in: an attribute, a cell, a comment, a script, a drawing.
POISON: Final = (
    "\"'></td></text></svg></title></textarea></script>--><x-evil onload=evil>{{ 7*7 }}</x-evil><script src=//evil>"
)
#: Texts that programs choose from a list: another value is not what anyone could write there.
_CHOSEN: Final = {
    "complexity", "complexity_level", "complexity_level_10", "outcome", "kind", "rule", "resolution", "via", "unit",
    "source", "action", "period", "status", "error_kind", "queue_name", "name_kind", "shape", "revision", "version_num",
}  # fmt: skip
_TEXTS: Final = """
    SELECT c.table_name::text, c.column_name::text, c.data_type::text
    FROM information_schema.columns AS c
    JOIN pg_class AS t ON t.oid = to_regclass('public.' || quote_ident(c.table_name)) AND NOT t.relispartition
    WHERE c.table_schema = 'public' AND t.relkind IN ('r', 'p') AND c.is_generated = 'NEVER'
        AND c.data_type IN ('text', 'character varying', 'jsonb')
"""


def poison(url: str) -> set[str]:
    """Append `POISON` to every text. The same name gets the same end everywhere, so rows still belong together.

    Returns:
        "table.column" of those that the database let through.
    """
    done = set()
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # logs are append-only by triggers
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        for table, column, kind in connection.execute(_TEXTS).fetchall():
            if column in _CHOSEN:
                continue
            try:
                with connection.transaction():
                    changed = (
                        _poison_json(connection, table, column)
                        if kind == "jsonb"
                        else _poison_text(connection, table, column)
                    )
            except psycopg.Error:
                continue  # a check of the table, or a key
            if changed:
                done.add(f"{table}.{column}")
    return done


def _poison_text(connection: psycopg.Connection[Any], table: str, column: str) -> int:
    statement = sql.SQL("UPDATE {table} SET {column} = {column} || %s WHERE {column} IS NOT NULL AND {column} <> ''")
    return connection.execute(
        statement.format(table=sql.Identifier(table), column=sql.Identifier(column)), (POISON,)
    ).rowcount


def _poison_json(connection: psycopg.Connection[Any], table: str, column: str) -> int:
    names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
    rows = connection.execute(
        sql.SQL("SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL").format(**names)
    ).fetchall()
    for (value,) in rows:
        connection.execute(
            sql.SQL("UPDATE {table} SET {column} = %s::jsonb WHERE {column} = %s::jsonb").format(**names),
            (json.dumps(_poisoned(value)), json.dumps(value)),
        )
    return len(rows)


def _poisoned(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _poisoned(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_poisoned(each, key) for each in value]
    return value + POISON if isinstance(value, str) and key not in _CHOSEN and not _is_number(value) else value


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit()
