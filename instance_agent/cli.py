"""The command line: `instance-agent <command>`."""

import signal
from typing import Annotated

import typer

from centralcloud.contracts import COMPLEXITIES
from centralcloud.runtime.command_line import AsJson, new_app, print_json, print_table, run_app
from centralcloud.runtime.configuration import SettingsError, load_settings
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.shutdown import Shutdown
from instance_agent.agent import InstanceAgent
from instance_agent.catalog import ModelCatalog
from instance_agent.router import PREFERENCES, ModelRouter
from instance_agent.settings import AgentSettings

app = new_app(
    "Keeps one router's model catalog at the learned scores.",
    "INSTANCE_AGENT_CATALOG names the catalog YAML, DATABASE_URL the database (postgresql://user@host/database, or "
    "embedded: for a server of our own in .centralcloud/).",
)


def main() -> None:
    """Entry point of `instance-agent`."""
    run_app(app, "instance-agent")


@app.command()
def run() -> None:
    """Run the sidecar: fetch learned scores as they are published, and keep them beside the catalog.

    Goes on with the last good scores while the database is away. SIGTERM or SIGINT (Ctrl-C) ends it.
    """
    settings = load_settings(AgentSettings)
    configure_logs(settings.log_level, settings.log_format)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    InstanceAgent(settings, routes=False, shutdown=shutdown).run()


@app.command()
def catalog(json_output: AsJson = False) -> None:
    """Show the effective catalog: the YAML with the learned scores laid over it. Needs no database."""
    effective = _catalog(load_settings(AgentSettings)).as_json()
    if json_output:
        print_json(effective)
        return
    rows = []
    for model in effective["models"]:
        for complexity, score in model["complexity_scores"].items():
            learned = model["learned"].get(complexity)
            version = learned["version"] if learned else None
            source = "configured" if learned is None else "learned"
            rows.append((model["name"], model["provider"], complexity, float(score), source, version))
    columns = ("model", "provider", "complexity", "score", "source", "version")
    print_table(columns, rows, empty="no models: name a catalog YAML in INSTANCE_AGENT_CATALOG")


@app.command()
def route(
    complexity: Annotated[str, typer.Option(help="simple, medium or complex.")],
    capability: Annotated[list[str] | None, typer.Option(help="What the model must be able to do; repeatable.")] = None,
    prefer: Annotated[str | None, typer.Option(help="speed or cost.")] = None,
    model: Annotated[str | None, typer.Option(help="Take exactly this model.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show which model would be chosen for a task, and why. Publishes nothing and needs no database."""
    settings = load_settings(AgentSettings)
    if complexity not in COMPLEXITIES:
        raise SettingsError(f"--complexity is {complexity!r}: expected one of {', '.join(COMPLEXITIES)}")
    if prefer is not None and prefer not in PREFERENCES:
        raise SettingsError(f"--prefer is {prefer!r}: expected one of {', '.join(PREFERENCES)}")
    router = ModelRouter(_catalog(settings), instance_id=settings.instance_id)
    decision = router.route(complexity, capabilities=capability or (), prefer=prefer, model=model)  # type: ignore[arg-type]
    ranking = [
        {
            "model": ranked.model.name,
            "provider": ranked.model.provider,
            "score": ranked.score,
            "value": round(ranked.value, 6),
        }
        for ranked in decision.ranking
    ]
    if json_output:
        print_json(
            {
                "model": decision.model.name,
                "provider": decision.model.provider,
                "complexity": decision.complexity,
                "score": decision.score,
                "reason": decision.reason,
                "fallback": decision.fallback,
                "propensity": decision.propensity,
                "score_version": decision.score_version,
                "exploration": settings.exploration,
                "ranking": ranking,
            }
        )
        return
    typer.echo(f"{decision.model.name} of {decision.model.provider}: {decision.reason}")
    if settings.exploration:
        typer.echo(f"(a running router takes another one in {settings.exploration:.1%} of cases, to learn about it)")
    columns = ("model", "provider", "score", "value")
    print_table(columns, ([row[name] for name in columns] for row in ranking), empty="")


def _catalog(settings: AgentSettings) -> ModelCatalog:
    configure_logs("warning", settings.log_format)
    return ModelCatalog.load(settings.catalog, settings.state_folder, ignore_learned=settings.ignore_learned)
