"""The command line, assembled: every command is a module of this package, imported when it is used."""

from collections.abc import Mapping
from typing import Final

from centralcloud.runtime.commands.cli import new_app, run_app
from centralcloud.runtime.commands.group import Command
from centralcloud.runtime.extras import require_extra

_COMMANDS: Final = "centralcloud.cli"

#: Commands of the other program.
_OF_INSTANCES: Final = (
    "keys", "serve", "route", "catalog", "endpoints", "rules", "policies", "tasks", "agents", "workspaces", "budgets",
)  # fmt: skip

#: The help: under each heading the commands in the order in which a user needs them.
COMMANDS: Final[Mapping[str, tuple[Command, ...]]] = {
    "Run and watch": (
        Command("run", "Run the daemon.", f"{_COMMANDS}.run"),
        Command(
            "status",
            "Show the state of the fleet: workers, queue, learning, instances, dead letters, findings.",
            f"{_COMMANDS}.status",
        ),
        Command("doctor", "Check the database, the settings and the fleet.", f"{_COMMANDS}.doctor"),
        Command("scores", "Show, explain, compare, pin and roll back scores.", f"{_COMMANDS}.scores"),
        Command("dashboard", "Serve the pages of the fleet, until SIGTERM or Ctrl-C.", f"{_COMMANDS}.dashboard"),
        Command("findings", "Show open findings, those that concern the most traffic first.", f"{_COMMANDS}.findings"),
        Command("report", "Show the review of a week, or write it as a page.", f"{_COMMANDS}.report"),
        Command(
            "evaluate",
            "Show what learning was worth: experiments, scores valued by the log, a switch, the price of probes.",
            f"{_COMMANDS}.evaluate",
        ),
        Command("metrics", "Show the counters of every pair of a model and a complexity.", f"{_COMMANDS}.metrics"),
        Command("instances", "Show and forget instances.", f"{_COMMANDS}.instances"),
        Command("queue", "Show the queue of routing events, and purge it.", f"{_COMMANDS}.queue"),
        Command("verify", "Verify that no message was lost and none was counted twice.", f"{_COMMANDS}.verify"),
        Command("history", "Show what operators and migrations changed, newest first.", f"{_COMMANDS}.history"),
    ),
    "Change": (
        Command("models", "Show, rename, merge, retire and forget models.", f"{_COMMANDS}.models"),
        Command(
            "configuration",
            "Show, compare, roll back, export and import the fleet's configuration.",
            f"{_COMMANDS}.configuration",
        ),
        Command(
            "experiments",
            "Try models, policies and score tables on a part of the traffic: canaries and A/B tests.",
            f"{_COMMANDS}.experiments",
        ),
        Command(
            "classifier",
            "Train the classifier of tasks on labelled prompts, and choose the version that gateways use.",
            f"{_COMMANDS}.classifier",
        ),
        Command("settings", "Show and change the settings of the whole fleet.", f"{_COMMANDS}.settings"),
        Command(
            "dead-letters",
            "Show, replay and discard messages that could not be ingested.",
            f"{_COMMANDS}.dead_letters",
        ),
        Command("learn", "Run the learner once, now.", f"{_COMMANDS}.learn"),
        Command("freeze", "Publish no learned scores until `unfreeze`.", f"{_COMMANDS}.freeze"),
        Command("unfreeze", "Publish learned scores again.", f"{_COMMANDS}.freeze"),
    ),
    "Set up": (
        Command("migrate", "Upgrade the database to the newest schema.", f"{_COMMANDS}.migrate"),
        Command("grants", "Show the SQL for least-privilege roles, or run it.", f"{_COMMANDS}.grants"),
        Command("dashboard-users", "Show, add and remove users of the dashboard.", f"{_COMMANDS}.dashboard_users"),
        Command("publish", "Send routing events from a file.", f"{_COMMANDS}.publish"),
        Command(
            "repair",
            "Raise sequences that are behind their tables, and correct aggregates.",
            f"{_COMMANDS}.repair",
        ),
        Command("drain", "Ingest the queued messages, then end.", f"{_COMMANDS}.drain"),
        Command(
            "completion",
            "Print the script that completes commands and options in a shell.",
            "centralcloud.runtime.commands.completion",
        ),
    ),
    "Try out": (
        Command("demo", "Show the whole loop at work, until Ctrl-C.", f"{_COMMANDS}.demo"),
        Command("simulate", "Try a rule on recorded outcomes, without a database.", f"{_COMMANDS}.simulate"),
    ),
}

app = new_app(
    "Learns LLM routing scores from real outcomes, on plain PostgreSQL.",
    "DATABASE_URL names the database: postgresql://user@host/database, or embedded: for an embedded server in "
    ".centralcloud/ of the working folder.",
    COMMANDS,
    {name: f"instance-agent {name}" for name in _OF_INSTANCES},
)


def main() -> None:
    """Entry point of `centralcloud`."""
    run_app(app, "centralcloud", needs=lambda: require_extra("daemon"))
