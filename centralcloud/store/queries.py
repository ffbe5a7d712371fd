"""The .sql files of this package, read once. A file is named for what its query does."""

from importlib.resources import files


def load(name: str) -> bytes:
    """The text of ``store/sql/<name>.sql``, with psycopg's named parameters in it."""
    return files("centralcloud.store").joinpath("sql", f"{name}.sql").read_bytes()
