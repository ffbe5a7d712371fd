"""`instance-agent route`: the model that would be chosen for a task, and the whole plan of a request."""

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from centralcloud.contracts import NO_ESTIMATE, ContractError, SettingsError
from centralcloud.contracts.fleet_configuration import read_configuration
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows
from instance_agent.catalog.aliases import AUTO
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.configuration import CatalogConfiguration, ReadyProvider, Target
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.registry import registry_layer
from instance_agent.catalog.source import CatalogSource
from instance_agent.routing.decision import Choice, RankedModel
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import Plan
from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.selection import SelectionMode
from instance_agent.routing.task import (
    HEADER_PREFIX,
    NO_HINTS,
    TaskHints,
    estimate_tokens,
    hints_from_headers,
    resolve_task,
)
from instance_agent.settings import GatewaySettings
from instance_agent.sync.configuration_file import ConfigurationFile

_STDIN: Final = "-"
_LONGEST_PROMPT: Final = 32 * 1024 * 1024
_Columns = dict[str, Callable[[Any], Any] | None]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


_RANKING: Final[_Columns] = {"model": None, "provider": None, "score": None, "value": None}
_CHANCES: Final[_Columns] = {
    "mean": None,
    "n_eff": None,
    "penalty": None,
    "probe_share": _percent,
    "win_probability": _percent,
    "propensity": _percent,
}


def route(
    prompt: Annotated[
        str | None, typer.Argument(help="Text of the request, for the classifier; - reads it from standard input.")
    ] = None,
    complexity: Annotated[str | None, typer.Option(help="simple, medium or complex, or 1 to 10.")] = None,
    task_type: Annotated[str | None, typer.Option(help="Type of the task, a label.")] = None,
    agent_type: Annotated[str | None, typer.Option(help="Type of the agent, a label.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="Required capability of the model; repeatable.")] = None,
    prefer: Annotated[str | None, typer.Option(help="speed or cost.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Choose exactly this model; with --explain any name that a client may send."),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The catalog YAML; without it that of INSTANCE_AGENT_CATALOG.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show the gateway's whole plan: each model, and why it is there or left out."),
    ] = False,
    available: Annotated[
        bool,
        typer.Option(
            "--available", help="With --explain: leave out models that a gateway started here could not call."
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the random choice, a whole number: the same seed chooses the same model."),
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Show which model would be chosen for a task, and why. Publishes nothing; needs no database.

    The options are the headers of a request: --complexity is x-centralcloud-complexity. The plan of --explain is that of
    POST /api/routing/test.
    """
    settings = load_settings(GatewaySettings, **({} if catalog is None else {"catalog": catalog}))
    configure_logs("warning", settings.log_format)
    text = _text(prompt)
    if text is None and complexity is None and model is None:
        raise SettingsError("route: found neither a prompt nor --complexity, expected one of them")
    hints = _hints(
        {
            "complexity": complexity,
            "task-type": task_type,
            "agent-type": agent_type,
            "prefer": prefer,
            "capabilities": ",".join(capability or ()),
        }
    )
    rng = random.Random(seed)
    if explain:
        _explain(settings, model or AUTO, hints, text, rng, available=available, json_output=json_output)
        return
    if available:
        raise SettingsError("--available: found without --explain, expected both: only a plan knows providers")
    _show_choice(settings, model, hints, text, rng, json_output=json_output)


def _explain(
    settings: GatewaySettings,
    model: str,
    hints: TaskHints,
    text: str | None,
    rng: random.Random,
    *,
    available: bool,
    json_output: bool,
) -> None:
    """Print the plan that a gateway with this catalog, these scores and this state folder would make."""
    configuration = _configuration(settings)
    catalog = ModelCatalog((), file=LearnedScoresFile(settings.state_folder), ignore_learned=settings.ignore_learned)
    catalog.use_configuration(_as_if_answering(configuration, keys=not available))
    planner = Planner(selection=settings.selection, exploration=settings.exploration, rng=rng)
    request = RoutingRequest(model=model, headers=hints, text=text, input_tokens=estimate_tokens(len(text or "")))
    plan = planner.plan(request, catalog.snapshot)
    ranking = [_ranked(each) for each in _by_value(plan)]
    if json_output:
        print_json({**plan_as_json(plan, None), "ranking": ranking})
        return
    for line in plan.text().splitlines():
        print_line(line)
    print_rows(ranking, _RANKING | _CHANCES, empty="")
    without = [each.key for each in _not_callable(configuration, plan)]
    if without and not available:
        print_line(f"(a gateway started here could not call {', '.join(without)}: --available leaves them out)")


def _not_callable(configuration: CatalogConfiguration, plan: Plan) -> list[Target]:
    """Return the targets of a plan whose provider is not known, or has no key, in this environment."""
    targets = [each for planned in plan.targets for each in configuration.targets_of(planned.target.model.name)]
    planned = {each.target.key for each in plan.targets}
    return [
        each
        for each in dict.fromkeys(targets)
        if each.key in planned and each.problem and not (each.provider and each.provider.local)
    ]


def _configuration(settings: GatewaySettings) -> CatalogConfiguration:
    """Return the configuration that a gateway with these settings has at its start, without asking the database."""
    source = CatalogSource(settings.catalog)
    received = ConfigurationFile(settings.state_folder).read()
    try:
        fleet = read_configuration(received.version, received.bodies)
    except ContractError as error:
        raise SettingsError(f"{ConfigurationFile(settings.state_folder).path}: {error}") from None
    source.use_registry(registry_layer(fleet, private=settings.gateway_private_endpoints), fleet.version)
    return source.build()


def _as_if_answering(configuration: CatalogConfiguration, *, keys: bool) -> CatalogConfiguration:
    """Return a configuration as if its local providers answered, which are not asked; with `keys` as if all could be called.

    A router that calls the models itself has its own providers, and the gateway has keys that this shell need not have.
    """

    def usable(provider: ReadyProvider | None) -> bool:
        return keys or (provider is not None and provider.local)

    return replace(
        configuration,
        providers={
            name: replace(each, problem=None) if usable(each) else each
            for name, each in configuration.providers.items()
        },
        targets={
            # A reader of this output may know the setup: the problem itself, not the reason that clients get.
            name: tuple(
                replace(each, problem=None if usable(each.provider) else each.problem, reason=None) for each in group
            )
            for name, group in configuration.targets.items()
        },
    )


def _by_value(plan: Plan) -> list[RankedModel]:
    """Return the models of a plan, each once, best value first."""
    ranked = {each.ranked.model.name: each.ranked for each in plan.targets if each.ranked is not None}
    return sorted(ranked.values(), key=lambda each: -each.value)


def _show_choice(
    settings: GatewaySettings,
    model: str | None,
    hints: TaskHints,
    text: str | None,
    rng: random.Random,
    *,
    json_output: bool,
) -> None:
    """Print the choice of a router that calls the models itself: it knows the catalog file, and no provider."""
    catalog = ModelCatalog.load(settings.catalog, settings.state_folder, ignore_learned=settings.ignore_learned)
    # A running router explores; a command shows the best one.
    router = ModelRouter(catalog, instance_id=settings.instance_id, selection=settings.selection, rng=rng)
    level = resolve_task(hints, NO_HINTS, None, text).level
    choice = router.choose(level, capabilities=hints.capabilities, prefer=hints.prefer, model=model)
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
    if settings.exploration:
        print_line(f"(a running router chooses at random for {settings.exploration:.1%} of tasks, to explore)")
    print_rows(ranking, _RANKING, empty="")


def _text(prompt: str | None) -> str | None:
    """Return the prompt, from standard input for -.

    Raises:
        SettingsError: it is empty, too long, or not UTF-8.
    """
    if prompt is None:
        return None
    if prompt != _STDIN:
        text, place = prompt, "the prompt"
    else:
        place = "the prompt on standard input"
        data = b"" if sys.stdin is None else sys.stdin.buffer.read(_LONGEST_PROMPT + 1)
        if len(data) > _LONGEST_PROMPT:
            raise SettingsError(f"{place} has more than {_LONGEST_PROMPT:,} bytes, expected at most as many")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise SettingsError(f"{place}: found bytes that are not UTF-8 at {error.start:,}, expected text") from None
    if not text.strip():
        raise SettingsError(f"{place} is empty: expected a text")
    return text


def _hints(values: Mapping[str, str | None]) -> TaskHints:
    """Return the hints of options, read as the headers of a request are.

    Raises:
        SettingsError: a value is not valid; names the option.
    """
    try:
        return hints_from_headers({f"{HEADER_PREFIX}{name}": value for name, value in values.items() if value})
    except RoutingError as error:
        raise SettingsError(str(error).replace(f"header {HEADER_PREFIX}", "--", 1)) from None


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
