"""The metadata that all tables share, and columns that many of them have."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    text,
)

metadata = MetaData()

TIMESTAMP: Final = DateTime(timezone=True)


def counter(name: str) -> Column[int]:
    """Return a column of a count, which begins with 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))
