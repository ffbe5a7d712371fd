"""Run one SQL query on DATABASE_URL and print the rows, where psql is not installed. Also for `embedded:`.

    python examples/sql.py 'SELECT * FROM dashboard_success_rates'

On your own PostgreSQL, `psql "$DATABASE_URL" -c '...'` does the same. The transaction is read-only.
"""

import os
import sys

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database


def main() -> int:
    """Run the query of the command line; return the exit code."""
    if len(sys.argv) != 2 or not os.environ.get("DATABASE_URL"):
        sys.stderr.write("usage: DATABASE_URL=... python examples/sql.py 'SELECT ...'\n")
        return 2
    try:
        with (
            Database(os.environ["DATABASE_URL"], application_name="examples/sql.py") as database,
            database.transaction() as connection,
        ):
            connection.execute("SET TRANSACTION READ ONLY")
            cursor = connection.execute(sys.argv[1].encode())
            titles = [column.name for column in cursor.description or ()]
            rows = [["" if value is None else str(value) for value in row] for row in cursor] if titles else []
    except (psycopg.Error, CentralCloudError) as error:
        sys.stderr.write(f"sql: {str(error).splitlines()[0]}\n")
        return 1
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
