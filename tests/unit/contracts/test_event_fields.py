"""Every place that repeats the fields of a routing event agrees with the table of `event_fields`.

A new field is a row there; these tests name the other places that need it: the class `RoutingEvent`, the column in
store/tables/ingest.py (with a migration), and the row in docs/reference/messages.md.
"""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from sqlalchemy.dialects import postgresql
from support.repository import REPOSITORY

from centralcloud.contracts import RoutingEvent
from centralcloud.contracts.event_fields import (
    COMMON_COLUMNS,
    COMMON_FIELDS,
    DECISION_FIELDS,
    EVENT_FIELDS,
    MESSAGE_FIELDS,
    REQUEST_COLUMNS,
    REQUEST_FIELDS,
    EventField,
)
from centralcloud.contracts.routing_event import RequestEvent
from centralcloud.store.tables.ingest import routing_records

EVENT_COLUMNS = COMMON_COLUMNS + REQUEST_COLUMNS
#: SQLAlchemy's name of each column type.
COLUMN_TYPES = {
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "varchar": "VARCHAR",
    "float8": "FLOAT8",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "text[]": "TEXT[]",
    "jsonb": "JSONB",
    "uuid": "UUID",
}
#: Fields that the documentation's table has and `event_fields` has not: the object around the fields of a decision, and
#: any other.
DOCUMENTED_BESIDES = {"routing_decision"}


def without_limits(type_: Any) -> Any:
    """The type that an attribute needs to hold the values of a field's type."""
    if get_origin(type_) is Annotated:
        return without_limits(get_args(type_)[0])
    if get_origin(type_) is Literal:
        (literal,) = {type(value) for value in get_args(type_)}
        return literal
    if isinstance(type_, UnionType) or str(get_origin(type_)) == "typing.Union":
        (value,) = (part for part in get_args(type_) if part is not NoneType)
        return without_limits(value) | None
    return type_


def test_the_attributes_of_an_event_are_the_fields_in_order_and_extra() -> None:
    common = (*(field.attribute for field in MESSAGE_FIELDS + COMMON_FIELDS), "extra")
    assert RoutingEvent.__struct_fields__ == common
    assert RequestEvent.__struct_fields__ == (*common, *(field.attribute for field in REQUEST_FIELDS))
    stored = [field.column for field in EVENT_FIELDS if field.column is not None]
    assert sorted(column for column, _ in EVENT_COLUMNS) == sorted([*stored, "extra"])
    assert [field.name for field in EVENT_FIELDS if field.column is None] == ["plan"]


@pytest.mark.parametrize("field", EVENT_FIELDS, ids=lambda field: field.name)
def test_an_attribute_has_the_type_and_the_default_of_its_field(field: EventField) -> None:
    attribute = {one.name: one for one in msgspec.structs.fields(RequestEvent)}[field.attribute]
    assert get_type_hints(RequestEvent)[field.attribute] == without_limits(field.type)
    assert attribute.default == field.default or field.name == "outcome"
    assert attribute.required == (field.default is msgspec.NODEFAULT)


def test_strict_fields_come_before_tolerant_ones_and_optional_ones_last() -> None:
    """The parser and `to_message` rely on it."""
    order = [(not field.strict, field.optional) for field in DECISION_FIELDS]
    assert order == sorted(order)
    assert [field.optional for field in DECISION_FIELDS] == sorted(field.optional for field in DECISION_FIELDS)
    assert all(field.strict or field.default is None for field in DECISION_FIELDS)


@pytest.mark.parametrize(("column", "column_type"), EVENT_COLUMNS)
def test_a_field_has_its_column(column: str, column_type: str) -> None:
    found = routing_records.c[column].type.compile(dialect=postgresql.dialect())
    assert found.replace("DOUBLE PRECISION", "FLOAT8") == COLUMN_TYPES[column_type]


def test_only_columns_of_required_fields_and_of_the_outcome_are_not_null() -> None:
    filled = {field.column for field in EVENT_FIELDS if field.default is msgspec.NODEFAULT} | {"outcome"}
    columns = {column for column, _ in EVENT_COLUMNS}
    assert {column.name for column in routing_records.c if column.name in columns and not column.nullable} == filled


def test_the_documentation_lists_every_field_as_strict_or_tolerant() -> None:
    page = (REPOSITORY / "docs" / "reference" / "messages.md").read_text()
    section = page.split("### Names")[0]
    documented = {}
    for row in re.findall(r"^\| (`.*) \|$", section, flags=re.MULTILINE):
        names, _, otherwise = row.split(" | ")
        documented |= {name: otherwise.startswith("dead letter") for name in re.findall(r"`([a-z_0-9]+)`", names)}
    assert {name: strict for name, strict in documented.items() if name not in DOCUMENTED_BESIDES} == {
        field.name: field.strict for field in EVENT_FIELDS
    }
