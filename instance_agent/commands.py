"""The commands of `instance-agent`."""

import random
import signal
import threading
from collections.abc import Callable
from typing import Annotated, Any

import typer

from centralcloud.contracts import COMPLEXITIES, NO_ESTIMATE, SettingsError
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings, warn_of_unknown_variables
from centralcloud.runtime.terminal.checkup_output import print_checkup, progress_line
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows, print_table
from instance_agent.agent import InstanceAgent
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.doctor import examine
from instance_agent.routing.decision import PREFERENCES, Choice, RankedModel
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.selection import SelectionMode
from instance_agent.settings import AgentSettings, GatewaySettings


def run() -> None:
    """Run the sidecar: fetch learned scores as they are published, and store them for the catalog.

    Continues with the last good scores while the database is unavailable. SIGHUP reads the catalog YAML again; so does a
    change of it. SIGTERM or SIGINT (Ctrl-C) stops it.
    """
    settings = load_settings(AgentSettings)
    settings.require_database()
    configure_logs(settings.log_level, settings.log_format)
    warn_of_unknown_variables(GatewaySettings)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    agent = InstanceAgent(settings, routes=False, shutdown=shutdown)
    # In a thread: the handler may interrupt one that holds the locks it needs.
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=agent.read_catalog_again, daemon=True).start())
    agent.run()


def catalog(json_output: AsJson = False) -> None:
    """Show the effective catalog: the models of the YAML with their learned scores. Needs no database."""
    effective = _catalog(load_settings(AgentSettings)).as_json()
    if json_output:
        print_json(effective)
        return
    rows = []
    for model in effective["models"]:
        for complexity, score in sorted(
            model["complexity_scores"].items(), key=lambda each: COMPLEXITIES.index(each[0])
        ):
            learned = model["learned"].get(complexity)
            version = learned["version"] if learned else None
            source = "configured" if learned is None else "learned"
            rows.append((model["name"], model["provider"], complexity, float(score), source, version))
    columns = ("model", "provider", "complexity", "score", "source", "version")
    print_table(columns, rows, empty="no models: set INSTANCE_AGENT_CATALOG to a catalog YAML")


def route(
    complexity: Annotated[str, typer.Option(help="simple, medium or complex.")],
    capability: Annotated[list[str] | None, typer.Option(help="Required capability of the model; repeatable.")] = None,
    prefer: Annotated[str | None, typer.Option(help="speed or cost.")] = None,
    model: Annotated[str | None, typer.Option(help="Choose exactly this model.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the probabilities of every model, exploration included.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the random choice, a whole number: the same seed chooses the same model."),
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Show which model would be chosen for a task, and why. Publishes nothing; needs no database."""
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
                "selection_reason": _selection_reason(choice, settings.selection),
                "exploration": settings.exploration,
                "ranking": ranking,
            }
        )
        return
    print_line(f"{choice.model.name} of {choice.model.provider}: {choice.reason}")
    columns: dict[str, Callable[[Any], Any] | None] = {"model": None, "provider": None, "score": None, "value": None}
    if explain:
        print_line(f"selection: {choice.method}, {_selection_reason(choice, settings.selection)}")
        columns |= {"mean": None, "n_eff": None, "penalty": None}
        columns |= {"probe_share": _percent, "win_probability": _percent, "propensity": _percent}
    elif settings.exploration:
        print_line(f"(a running router chooses at random for {settings.exploration:.1%} of tasks, to explore)")
    print_rows(ranking, columns, empty="")


def _ranked(ranked: RankedModel) -> dict[str, Any]:
    estimate = ranked.learned.estimate if ranked.learned else NO_ESTIMATE
    chance = ranked.chance
    return {
        "model": ranked.model.name,
        "provider": ranked.model.provider,
        "score": ranked.score,
        "value": round(ranked.value, 6),
        "mean": estimate.mean,
        "n_eff": estimate.n_eff,
        "penalty": None if ranked.penalty is None else round(ranked.penalty, 6),
        "probe_share": chance.probe,
        "win_probability": chance.win,
        "propensity": chance.propensity,
    }


def _selection_reason(choice: Choice, setting: SelectionMode) -> str:
    if choice.requested_model:
        return "because one model was requested"
    if setting != "auto":
        return "set by INSTANCE_AGENT_SELECTION"
    if choice.method == "thompson":
        return "because a learned score comes with an estimate (mean, n_eff)"
    return "because no learned score comes with an estimate"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def doctor(json_output: AsJson = False) -> None:
    """Check the configuration and the database: each check is OK, WARN or FAIL, and says what to do.

    Exit code 1 when a check has failed.
    """
    settings = load_settings(AgentSettings)
    configure_logs("error", settings.log_format)
    with (
        Database(settings.database, application_name="instance-agent/doctor", max_connections=2) as database,
        progress_line() as progress,
    ):
        results = examine(settings, database, progress)
    print_checkup(results, as_json=json_output)


def _catalog(settings: AgentSettings) -> ModelCatalog:
    configure_logs("warning", settings.log_format)
    return ModelCatalog.load(settings.catalog, settings.state_folder, ignore_learned=settings.ignore_learned)
