"""The base of both command lines: commands that load on first use, the help, shell completion, errors and exit codes."""
