"""Alembic environment.

`centralcloud migrate` hands over a connection; `alembic -c migrations/alembic.ini` uses DATABASE_URL.
"""

import os

from alembic import context

from centralcloud.store.schema import configure_and_run, connect_for_migrations

if context.is_offline_mode():
    raise SystemExit("migrations run on a database, not into a script: they look at what is there")

if (connection := context.config.attributes.get("connection")) is not None:
    configure_and_run(connection)
else:
    with connect_for_migrations(os.environ["DATABASE_URL"]) as connection:
        configure_and_run(connection)
