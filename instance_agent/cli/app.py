"""The command line: `instance-agent <command>`, assembled from `commands`, which is imported when one of them is used."""

from collections.abc import Mapping
from typing import Final

from centralcloud.runtime.commands.cli import new_app, run_app
from centralcloud.runtime.commands.group import Command

_COMMANDS: Final = "instance_agent.commands"
_ENTRIES: Final = "instance_agent.entry_commands"
_USE: Final = "instance_agent.use_commands"

#: The help: under each heading the commands in the order in which a user needs them.
COMMANDS: Final[Mapping[str, tuple[Command, ...]]] = {
    "Run and watch": (
        Command(
            "run",
            "Run the sidecar: fetch learned scores as they are published, and store them for the catalog.",
            _COMMANDS,
        ),
        Command(
            "serve",
            "Run the gateway: serve the fleet's models over HTTP, in the protocols of OpenAI and Anthropic.",
            "instance_agent.serve_command",
        ),
        Command(
            "doctor",
            "Check the configuration and the database: each check is OK, WARN or FAIL, and says what to do.",
            _COMMANDS,
        ),
        Command("catalog", "Show the effective catalog: the models of the YAML with their learned scores.", _COMMANDS),
        Command("route", "Show which model would be chosen for a task, and why.", "instance_agent.route_command"),
        Command("costs", "Show costs by day, week or month, the newest one first.", _USE),
        Command("spend", "Show what is spent and left of each budget now, in USD.", _USE),
        Command(
            "recommendations",
            "Recommend models, and warn of budgets that end early, each with the numbers that it is computed from.",
            _USE,
        ),
    ),
    "Configure the fleet": (
        Command("models", "List, show, set and remove models of the fleet's registry.", _ENTRIES),
        Command("endpoints", "List, show, set and remove endpoints of registered models.", _ENTRIES),
        Command("rules", "List, show, set and remove rules of routing.", _ENTRIES),
        Command("policies", "List, show, set and remove policies of routing.", _ENTRIES),
        Command("tasks", "List, show, set and remove the policies of task types.", _ENTRIES),
        Command("agents", "List, show, set and remove preferences of agent types.", _ENTRIES),
        Command("workspaces", "List, show, set and remove configurations of workspaces.", _ENTRIES),
        Command("budgets", "List, show, set and remove budgets.", _ENTRIES),
    ),
    "Set up": (
        Command(
            "keys", "Create, show, rotate, revoke and remove the keys of the gateway.", "instance_agent.key_commands"
        ),
        Command(
            "completion",
            "Print the script that completes commands and options in a shell.",
            "centralcloud.runtime.commands.completion",
        ),
    ),
}

app = new_app(
    "Keeps the model catalog of one router up to date with the learned scores.",
    "INSTANCE_AGENT_CATALOG is the path of the catalog YAML. DATABASE_URL is the database: postgresql://user@host/database, "
    "or embedded: for a private server in .centralcloud/.",
    COMMANDS,
)


def main() -> None:
    """Entry point of `instance-agent`."""
    run_app(app, "instance-agent")
