"""The command line: `instance-agent <command>`."""

import random
import signal
from collections.abc import Callable
from typing import Annotated, Any

import typer

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.runtime.cli import (
    AsJson,
    new_app,
    print_checkup,
    print_json,
    print_rows,
    print_table,
    run_app,
)
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables
from instance_agent.agent import InstanceAgent
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.doctor import examine
from instance_agent.routing.decision import PREFERENCES, Choice, RankedModel
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.selection import SelectionMode
from instance_agent.settings import AgentSettings

app = new_app(
    "Keeps one router's model catalog at the learned scores.",
    "INSTANCE_AGENT_CATALOG names the catalog YAML, DATABASE_URL the database (postgresql://user@host/database, or "
    "embedded: for a server in .centralcloud/).",
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
    warn_of_unknown_variables(AgentSettings)
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
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the chances of every model; with the share of exploration in them.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Draw the same model again; a whole number.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show which model would be chosen for a task, and why. Publishes nothing and needs no database."""
    settings = load_settings(AgentSettings)
    if complexity not in COMPLEXITIES:
        raise SettingsError(f"--complexity is {complexity!r}: expected one of {', '.join(COMPLEXITIES)}")
    if prefer is not None and prefer not in PREFERENCES:
        raise SettingsError(f"--prefer is {prefer!r}: expected one of {', '.join(PREFERENCES)}")
    router = ModelRouter(
        _catalog(settings),
        instance_id=settings.instance_id,
        selection=settings.selection,
        exploration=settings.exploration if explain else 0.0,
        rng=random.Random(seed),
    )
    choice = router.choose(complexity, capabilities=capability or (), prefer=prefer, model=model)  # type: ignore[arg-type]
    ranking = [_ranked(ranked) for ranked in choice.ranking]
    if json_output:
        print_json(
            {
                "model": choice.model.name,
                "provider": choice.model.provider,
                "complexity": choice.complexity,
                "score": choice.score,
                "reason": choice.reason,
                "fallback": choice.fallback,
                "propensity": choice.propensity,
                "score_version": choice.score_version,
                "probe": choice.probe,
                "explored": choice.explored,
                "selection": choice.method,
                "selection_reason": _why_this_method(choice, settings.selection),
                "exploration": settings.exploration,
                "ranking": ranking,
            }
        )
        return
    typer.echo(f"{choice.model.name} of {choice.model.provider}: {choice.reason}")
    columns: dict[str, Callable[[Any], Any] | None] = {"model": None, "provider": None, "score": None, "value": None}
    if explain:
        typer.echo(f"selection: {choice.method}, {_why_this_method(choice, settings.selection)}")
        columns |= {"mean": None, "n_eff": None, "penalty": None}
        columns |= {"probe_share": _percent, "win_probability": _percent, "propensity": _percent}
    elif settings.exploration:
        typer.echo(f"(a running router takes another one in {settings.exploration:.1%} of cases, to learn about it)")
    print_rows(ranking, columns, empty="")


def _ranked(ranked: RankedModel) -> dict[str, Any]:
    learned, chance = ranked.learned, ranked.chance
    return {
        "model": ranked.model.name,
        "provider": ranked.model.provider,
        "score": ranked.score,
        "value": round(ranked.value, 6),
        "mean": learned.mean if learned else None,
        "n_eff": learned.n_eff if learned else None,
        "penalty": None if ranked.penalty is None else round(ranked.penalty, 6),
        "probe_share": chance.probe,
        "win_probability": chance.win,
        "propensity": chance.propensity,
    }


def _why_this_method(choice: Choice, setting: SelectionMode) -> str:
    if choice.requested_model:
        return "since one model was asked for"
    if setting != "auto":
        return "set by INSTANCE_AGENT_SELECTION"
    if choice.method == "thompson":
        return "since a learned score tells how sure it is (mean, n_eff)"
    return "since no learned score tells how sure it is"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


@app.command()
def doctor(json_output: AsJson = False) -> None:
    """Look at what an operator would look at first: each check is OK, WARN or FAIL, and says what to do.

    Exit code 1 when one has failed.
    """
    settings = load_settings(AgentSettings)
    configure_logs("error", settings.log_format)
    with Database(settings.database, application_name="instance-agent/doctor", max_connections=2) as database:
        print_checkup(examine(settings, database), as_json=json_output)


def _catalog(settings: AgentSettings) -> ModelCatalog:
    configure_logs("warning", settings.log_format)
    return ModelCatalog.load(settings.catalog, settings.state_folder, ignore_learned=settings.ignore_learned)
