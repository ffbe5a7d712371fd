"""The command line: `instance-agent <command>`."""

import signal
import sys

from centralcloud.runtime.process.garbage import collect_seldom
from centralcloud.runtime.process.shutdown import end_on_signals_until_ready

#: Commands that handle signals themselves once they run, and read their files again on SIGHUP.
_LONG_RUNNING = ("run", "serve")


def main() -> None:
    """Entry point of `instance-agent`."""
    if sys.argv[1:2] and sys.argv[1] in _LONG_RUNNING:
        # The imports take a second. Until the program has its handlers, a reload has nothing to read again.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        end_on_signals_until_ready()
    collect_seldom()
    from instance_agent.cli.app import main as run_command_line

    run_command_line()
