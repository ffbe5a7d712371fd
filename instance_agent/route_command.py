"""`instance-agent route`: the model that would be chosen for a task, and the whole plan of a request."""

import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from centralcloud.contracts import NO_ESTIMATE, SettingsError
from centralcloud.contracts.model_choice.selection import SelectionMode
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows
from centralcloud.runtime.wording import counted, listed
from instance_agent.catalog.aliases import AUTO
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog_checks import print_gateway_refusal
from instance_agent.effective_catalog import BUILT_IN_NOTE, gateway_configuration, router_catalog
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.routing_rules import prices_by
from instance_agent.routing.decision import Choice, RankedModel
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import Plan
from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.spend import catalog_prices
from instance_agent.routing.task import (
    HEADER_PREFIX,
    NO_HINTS,
    TaskHints,
    estimate_tokens,
    hints_from_headers,
    resolve_task,
)
from instance_agent.settings import GatewaySettings
from instance_agent.sync.classifier_file import ClassifierFile

_STDIN: Final = "-"
_CHAT: Final = "chat"
_MOST_PROVIDERS: Final = 5
_LONGEST_PROMPT: Final = 32 * 1024 * 1024
_Columns = dict[str, Callable[[Any], Any] | None]


class _Caller(NamedTuple):
    """The caller, as conditions of rules see it."""

    workspace: str | None
    request_type: str
    tags: tuple[str, ...]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


_RANKING: Final[_Columns] = {"model": None, "provider": None, "score": None, "value": None}
_CHANCES: Final[_Columns] = {
    "mean": None,
    "n_eff": None,
    "draw_n": None,
    "penalty": None,
    "probe_share": _percent,
    "win_probability": _percent,
    "propensity": _percent,
}


def route(
    prompt: Annotated[
        str | None, typer.Argument(help="Text of the request, for the classifier; - reads it from standard input.")
    ] = None,
    complexity: Annotated[
        str | None, typer.Option(help="simple, medium, complex, 1 to 10, or a word such as hard.")
    ] = None,
    task_type: Annotated[str | None, typer.Option(help="Type of the task, a label.")] = None,
    agent_type: Annotated[str | None, typer.Option(help="Type of the agent, a label.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="Required capability of the model; repeatable.")] = None,
    prefer: Annotated[str | None, typer.Option(help="speed or cost.")] = None,
    workspace: Annotated[str | None, typer.Option(help="With --explain: the workspace of the caller.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With --explain: tag of the request; repeatable.")] = None,
    request_type: Annotated[str, typer.Option(help="With --explain: such as chat or completion.")] = _CHAT,
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
            "--available",
            help="With --explain: leave out models that a gateway started here could not call. Asks local providers.",
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
    configure_logs("warning", settings.log_format, at_prompt=True)
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
        caller = _Caller(workspace, request_type, tuple(sorted(set(tag or ()))))
        _explain(settings, model or AUTO, hints, text, rng, caller, available=available, json_output=json_output)
        return
    if available:
        raise SettingsError("--available: found without --explain, expected both: only a plan knows providers")
    if workspace or tag or request_type != _CHAT:
        raise SettingsError("--workspace, --tag and --request-type: expected with --explain: only a plan follows rules")
    _show_choice(settings, model, hints, text, rng, json_output=json_output)


def _explain(
    settings: GatewaySettings,
    model: str,
    hints: TaskHints,
    text: str | None,
    rng: random.Random,
    caller: _Caller,
    *,
    available: bool,
    json_output: bool,
) -> None:
    """Print the plan that a gateway with this catalog, these scores and this state folder would make."""
    configuration, fleet = gateway_configuration(settings, ask_local=available, any_provider=True)
    catalog = ModelCatalog((), file=LearnedScoresFile(settings.state_folder), ignore_learned=settings.ignore_learned)
    planned = _with_problems(configuration) if available else _as_if_answering(configuration)
    catalog.use_configuration(planned)
    planner = Planner(selection=settings.selection, exploration=settings.exploration, rng=rng)
    request = RoutingRequest(
        model=model,
        headers=hints,
        text=text,
        input_tokens=estimate_tokens(len(text or "")),
        workspace=caller.workspace,
        request_type=caller.request_type,
        tags=caller.tags,
        characters=len(text or ""),
        at=time.time(),
    )
    # Only policies have limits of cost; list prices take a moment to load.
    rules = RoutingRules(fleet, planned, prices_by(planned, CallTargets(planned)) if fleet.policies else catalog_prices)
    classifier = ClassifierFile(settings.state_folder).load()
    plan = planner.plan(request, catalog.snapshot, rules=rules, classifier=classifier)
    ranking = [_ranked(each) for each in _by_value(plan)]
    if json_output:
        print_json({**plan_as_json(plan, None), "ranking": ranking})
        return
    if not available:
        _print_not_callable(configuration, plan)
    for line in plan.text().splitlines():
        print_line(line)
    print_rows(ranking, _RANKING | _CHANCES, empty="")


def _print_not_callable(configuration: CatalogConfiguration, plan: Plan) -> None:
    """Print which targets of a plan could not be called with this environment, by provider; local ones were not asked."""
    planned = [each.target for each in plan.targets]
    known = {each.key: each for target in planned for each in configuration.targets_of(target.model.name)}
    targets = [known.get(each.key, each) for each in planned]
    without = [each for each in targets if each.problem and not (each.provider and each.provider.local)]
    if without:
        problems = dict.fromkeys(f"{each.model.provider} ({each.problem})" for each in without)
        some = f"{len(without)} of these {len(targets)} targets"
        count = f"any of these {counted(len(targets), 'target')}" if len(without) == len(targets) else some
        print_line(
            f"(a gateway with this environment could not call {count}: {listed(list(problems), _MOST_PROVIDERS)}; "
            "--available leaves them out)"
        )


def _as_if_answering(configuration: CatalogConfiguration) -> CatalogConfiguration:
    """Return a configuration as if every provider could be called.

    A router that calls the models itself has its own providers, and the gateway has keys that this shell need not have.
    """
    providers = {name: replace(each, problem=None) for name, each in configuration.providers.items()}
    targets = {
        name: tuple(replace(each, problem=None, reason=None) for each in group)
        for name, group in configuration.targets.items()
    }
    return replace(configuration, providers=providers, targets=targets)


def _with_problems(configuration: CatalogConfiguration) -> CatalogConfiguration:
    """Return a configuration with the problems themselves, not the reasons for clients: this reader may know the setup."""
    targets = {
        name: tuple(replace(each, reason=None) for each in group) for name, group in configuration.targets.items()
    }
    return replace(configuration, targets=targets)


def _by_value(plan: Plan) -> list[RankedModel]:
    """Return the models of a plan that have a score for the complexity, each once, best value first."""
    known = [each.ranked for each in plan.targets if each.ranked is not None and each.code != "unscored"]
    ranked = {each.model.name: each for each in known}
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
    """Print the choice of a router that calls the models itself: it knows the catalog, and no provider."""
    catalog = router_catalog(settings)
    print_gateway_refusal(settings)
    # A running router explores; a command shows the best one.
    router = ModelRouter(catalog, instance_id=settings.instance_id, selection=settings.selection, rng=rng)
    task = resolve_task(hints, NO_HINTS, None, text, ClassifierFile(settings.state_folder).load())
    choice = router.choose(
        task.level, capabilities=hints.capabilities, prefer=hints.prefer, model=model, task_type=task.task_type
    )
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
    if settings.catalog is None:
        print_line(BUILT_IN_NOTE)


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
        "draw_n": estimate.draw_n,
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
