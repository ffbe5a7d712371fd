"""The database: tables, migrations, and one .sql file for each hot query."""
