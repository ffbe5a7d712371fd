"""The database: tables, migrations, partitions, slices, leases and findings, and the SQL that two rooms share."""
