"""The command line, assembled: every command is a module of this package."""

from centralcloud.cli import dead_letters, freeze, instances, models, queue, scores, settings
from centralcloud.cli.demo import demo
from centralcloud.cli.doctor import doctor
from centralcloud.cli.drain import drain
from centralcloud.cli.findings import findings
from centralcloud.cli.grants import grants
from centralcloud.cli.history import history
from centralcloud.cli.learn import learn
from centralcloud.cli.metrics import metrics
from centralcloud.cli.migrate import migrate
from centralcloud.cli.publish import publish
from centralcloud.cli.run import run
from centralcloud.cli.simulate import simulate
from centralcloud.cli.status import status
from centralcloud.cli.verify import verify
from centralcloud.runtime.cli import new_app, run_app

app = new_app(
    "Learns LLM routing scores from real outcomes, on plain PostgreSQL.",
    "DATABASE_URL names the database: postgresql://user@host/database, or embedded: for an embedded server in "
    ".centralcloud/ of the working folder.",
)

#: In the order of the help: first the program, then commands that show something, then commands that change something.
for command in (
    migrate, run, drain, publish, status, doctor, findings, metrics, history, learn, freeze.freeze, freeze.unfreeze, verify,
    grants, simulate, demo,
):  # fmt: skip
    app.command()(command)
for name, group in {
    "scores": scores,
    "models": models,
    "instances": instances,
    "settings": settings,
    "queue": queue,
    "dead-letters": dead_letters,
}.items():
    app.add_typer(group.app, name=name)


def main() -> None:
    """Entry point of `centralcloud`."""
    run_app(app, "centralcloud")
