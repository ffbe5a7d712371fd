"""The command line: `centralcloud <command>`."""

from centralcloud.cli.app import main

__all__ = ["main"]
