"""Processor time of imports and of `--help`, each beside `import psycopg` of the same run: python benchmarks/startup.py.

A machine under load makes every start-up slower, the import of the database driver with it: the ratio is what to compare.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

_BIN = Path(sys.executable).parent
_BASE = "import psycopg"
_COMMANDS = {
    _BASE: [sys.executable, "-c", "import psycopg"],
    "import instance_agent": [sys.executable, "-c", "import instance_agent"],
    "import instance_agent.publishing": [sys.executable, "-c", "import instance_agent.publishing"],
    "from instance_agent import InstanceAgent": [sys.executable, "-c", "from instance_agent import InstanceAgent"],
    "centralcloud --help": [str(_BIN / "centralcloud"), "--help"],
    "instance-agent --help": [str(_BIN / "instance-agent"), "--help"],
}


def processor_seconds(command: list[str]) -> float:
    """Return the user and system time of one process that runs `command`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11, help="processes of each command, one after the other in turn")
    runs: int = parser.parse_args().runs
    for command in _COMMANDS.values():  # compiles what is not compiled, and fills the cache of the file system
        processor_seconds(command)
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(runs):
        for name, command in _COMMANDS.items():
            seconds[name].append(processor_seconds(command))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "runs": runs,
        "median_seconds": {name: round(median, 3) for name, median in medians.items()},
        "ratio_to_import_psycopg": {name: round(median / medians[_BASE], 2) for name, median in medians.items()},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
