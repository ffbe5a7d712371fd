"""The command line: `centralcloud <command>`, one module a command."""

import sys

from centralcloud.runtime.process.garbage import collect_seldom
from centralcloud.runtime.process.shutdown import end_on_signals_until_ready

#: Commands that handle signals themselves once they run.
_LONG_RUNNING = ("run", "demo")


def main() -> None:
    """Entry point of `centralcloud`."""
    if sys.argv[1:2] and sys.argv[1] in _LONG_RUNNING:
        end_on_signals_until_ready()
    collect_seldom()
    from centralcloud.cli.app import main as run_command_line  # takes a moment, during which signals may arrive

    run_command_line()
