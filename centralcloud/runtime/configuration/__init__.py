"""The fleet's configuration in the database: read and written through its functions, by either program."""
