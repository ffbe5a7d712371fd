"""The rules, policies, agents and workspaces of a fleet's configuration, compiled for one catalog. Immutable and pure.

The first that applies says which models are candidates, and in which order: the policy that the client names, a rule, the
preferences of the agent type, the policy of the task type, the policy of the workspace. Without any of them the learned
selection chooses among all models. The decision depends on few values of a request, so it is made once for each combination
that the configuration distinguishes.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    NORMAL,
    AgentPreferences,
    Condition,
    FleetConfiguration,
    RoutingRule,
)
from instance_agent.catalog.configuration import CatalogConfiguration, build_configuration
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.routing.conditions import MIDDLE, Clock, Facts, Test, Vocabulary, compiled
from instance_agent.routing.experiments import Experiments
from instance_agent.routing.plan import PlanError
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.restrictions import WorkspaceRules
from instance_agent.routing.routes import Route, agent_route, policy_route, rule_route
from instance_agent.routing.spend import PriceOf, catalog_prices
from instance_agent.routing.standing import Standing, standings
from instance_agent.routing.task import Task

POLICY_PREFIX: Final = "policy:"
#: The task type that stands for every other one that a caller names.
OTHER_TASKS: Final = "*"
_MOST_DECISIONS: Final = 4096
_MOST_NAMES: Final = 20
_CALLER: Final = frozenset({"header", "metadata"})


class Routed(NamedTuple):
    """The route of a request.

    Attributes:
        route: None: the learned selection among all models.
        passed_over: entries that were for the request and were passed over, each with the reason.
        following: for the models of an agent, which are a preference: the route where none of them can be used.
        source: of its policy: ``client``, ``rule``, ``task type``, ``workspace`` or ``experiment``.
    """

    route: Route | None
    passed_over: tuple[str, ...] = ()
    following: "Routed | None" = None
    source: str | None = None


_LEARNED: Final = Routed(None)


class RoutingRules:
    """The compiled configuration. For one thread: it remembers decisions.

    Attributes:
        workspaces: by id.
        agents: preferences by agent type.
        price_of: the prices of a target.
        experiments: those that may route requests; None: there are none.
        is_empty: whether nothing of it but experiments could be for a request that names neither a model nor a policy.
        has_latency: whether a requirement needs the latency of targets.
        has_cost_limits: whether a policy limits the cost of a request.
    """

    def __init__(
        self,
        fleet: FleetConfiguration,
        configuration: CatalogConfiguration,
        price_of: PriceOf = catalog_prices,
    ) -> None:
        """Compile a configuration of the fleet for a catalog; `price_of`: of its targets."""
        self.price_of = price_of
        self.workspaces = {name: WorkspaceRules(each, configuration) for name, each in fleet.workspaces.items()}
        self.agents: dict[str, AgentPreferences] = dict(fleet.agents)
        self._policies = {
            name: policy_route(policy, fleet.policies, configuration, price_of)
            for name, policy in fleet.policies.items()
        }
        self._local_first = {
            name: tuple(
                (stage.policy.name, frozenset(each.key for one in stage.candidates for each in one.targets))
                for stage in route.stages
                if stage.order == "local_first" and stage.policy is not None
            )
            for name, route in self._policies.items()
        }
        experiments = Experiments(fleet.experiments, configuration, self._policies)
        self.experiments = experiments or None
        self._task_policies = dict(fleet.task_policies)
        self._agent_routes = {name: agent_route(agent, configuration) for name, agent in fleet.agents.items()}
        enabled = [rule for rule in fleet.rules if rule.enabled]
        conditions: list[Condition] = [rule.condition for rule in enabled]
        self._clock = Clock(conditions)
        self._rules: list[tuple[Test, Route | None, RoutingRule]] = [
            (compiled(rule.condition, self._clock), self._route_of(rule, configuration), rule) for rule in enabled
        ]
        self._vocabulary = Vocabulary(
            conditions,
            agent_type=tuple(fleet.agents),
            workspace=tuple(fleet.workspaces),
            task_type=tuple(fleet.task_policies),
        )
        self._decided: dict[tuple[object, ...], Routed] = {}
        self.is_empty = not (self._rules or self._task_policies or fleet.agents or fleet.workspaces)
        requirements = [each.performance_requirements for each in fleet.agents.values()]
        quality = [each.quality_requirements for each in fleet.workspaces.values()]
        self.has_cost_limits = any(route.limits for route in self._policies.values())
        self.has_latency = any(each.max_latency is not None for each in (*requirements, *quality))

    @property
    def policies(self) -> list[str]:
        """The names of the policies that a client may name."""
        return sorted(name for name, route in self._policies.items() if route.settings and route.settings.is_active)

    def named(self, name: str) -> Route:
        """Return the route of a policy that a client names.

        Raises:
            PlanError: the policy is not known, or not active.
        """
        route = self._policies.get(name)
        if route is not None and route.settings is not None and route.settings.is_active:
            return route
        known = self.policies
        more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
        one_of = f"{POLICY_PREFIX}NAME with one of {', '.join(known[:_MOST_NAMES])}{more}"
        expected = one_of if known else "another name: the fleet has no active policy"
        found = quote(f"{POLICY_PREFIX}{name}") + (", which is not active" if route is not None else "")
        raise PlanError("policy_not_found", f"model: found {found}, expected {expected}")

    def policy_of_task(self, task_type: str | None) -> str:
        """Return the policy of a task type where one must be chosen: of the mapping, of ``*``, else ``normal``."""
        found = None if task_type is None else self._task_policies.get(task_type)
        return found or self._task_policies.get(OTHER_TASKS) or NORMAL

    def standings(self, learned: LearnedScores) -> list[Standing]:
        """Return the standing of the models of active policies where learned scores have demoted one, by policy."""
        active = (self._policies[name] for name in self.policies)
        return standings(active, learned)

    def local_first(self, policy: str, target: str) -> list[str]:
        """Return the policies whose order is ``local_first`` and that have a target: of a policy and those that follow it.

        Args:
            target: its key.
        """
        return [name for name, keys in self._local_first.get(policy, ()) if target in keys]

    def routed(self, request: RoutingRequest, task: Task) -> Routed:
        """Return the route of a request that names neither a model nor a policy."""
        if self.is_empty:
            return _LEARNED
        words = self._vocabulary
        times = self._clock.at(request.at)
        task_type, tags = task.task_type, request.tags
        key = (
            words.agent_type.get(task.agent_type),
            words.request_type.get(request.request_type),
            words.workspace.get(request.workspace),
            words.task_type.get(task_type),
            task_type is not None and task.type_source in _CALLER,
            task.level,
            task.complexity,
            request.model_type,
            words.length_bucket(request.characters),
            words.tags.intersection(tags) if tags else None,
            times,
        )
        found = self._decided.get(key)
        if found is None:
            if len(self._decided) >= _MOST_DECISIONS:
                self._decided.clear()
            facts = Facts(
                task.agent_type,
                request.request_type,
                request.workspace,
                task_type,
                task.level,
                task.complexity or MIDDLE[task.level],
                request.characters,
                frozenset(tags),
                times,
            )
            found = self._decided[key] = self._decide(facts, request.model_type, named=bool(key[4]))
        return found

    def _decide(self, facts: Facts, model_type: str, *, named: bool) -> Routed:
        passed: list[str] = []
        for test, route, rule in self._rules:
            if test(facts):
                if route is not None and route.serves(model_type):
                    return Routed(route, tuple(passed), source=None if route.policy is None else "rule")
                reason = _no_type(model_type) if route is not None else f"its policy {rule.policy} is not active"
                passed.append(f"rule {rule.id}: {reason}")
        agent = self._agent_routes.get(facts.agent_type) if facts.agent_type is not None else None
        if agent is not None:
            if agent.stages and agent.serves(model_type):
                return Routed(agent, tuple(passed), self._after_agent(facts, model_type, named, [*passed]))
            passed.append(f"agent {agent.agent}: {_no_type(model_type) if agent.stages else _not_here(agent)}")
        return self._after_agent(facts, model_type, named, passed)

    def _after_agent(self, facts: Facts, model_type: str, named: bool, passed: list[str]) -> Routed:
        for name, source in self._policies_for(facts, named):
            route = self._policies.get(name)
            if route is None or route.settings is None or not route.settings.is_active:
                reason = "it is not active"
            elif source == "task type" and not route.stages:
                reason = _not_here(route)
            elif not route.serves(model_type):
                reason = _no_type(model_type)
            else:
                return Routed(route, tuple(passed), source=source)
            passed.append(f"policy {name} of the {source}: {reason}")
        return Routed(None, tuple(passed)) if passed else _LEARNED

    def _policies_for(self, facts: Facts, named: bool) -> Iterator[tuple[str, str]]:
        if named and facts.task_type is not None:
            found = self._task_policies.get(facts.task_type) or self._task_policies.get(OTHER_TASKS)
            if found is not None:
                yield found, "task type"
        workspace = self.workspaces.get(facts.workspace) if facts.workspace is not None else None
        if workspace is not None and workspace.workspace.policy is not None:
            yield workspace.workspace.policy, "workspace"

    def _route_of(self, rule: RoutingRule, configuration: CatalogConfiguration) -> Route | None:
        """Return the route of a rule; None where its policy is not active."""
        if rule.policy is None:
            return rule_route(rule, None, configuration)
        policy = self._policies[rule.policy]
        if policy.settings is None or not policy.settings.is_active:
            return None
        return rule_route(rule, policy, configuration)


def _no_type(model_type: str) -> str:
    return f"none of its models is for {model_type}"


def _not_here(route: Route) -> str:
    names = [each.key for each in route.missing]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the catalog has none of its models ({', '.join(names[:3])}{more})"


NO_RULES: Final = RoutingRules(FleetConfiguration(), build_configuration(()))
