"""The reports of a running gateway: the state of its parts for its pages of health, and its metrics."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from centralcloud.runtime.postgres.database import Database
from instance_agent.execution.response_cache import ResponseCache
from instance_agent.gateway.limits.spend_metrics import SpendMetrics
from instance_agent.gateway.metrics import GatewayMetrics, TargetMetrics
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.state import StateBuilder
from instance_agent.routing.planner import Planner
from instance_agent.spend.exchange import SpendExchange
from instance_agent.sync.classifier_updater import ClassifierUpdater, show_classifier
from instance_agent.sync.configuration_metrics import show_configuration
from instance_agent.sync.configuration_updater import ConfigurationUpdater
from instance_agent.sync.event_publisher import EventPublisher
from instance_agent.sync.health_exchange import HealthExchange
from instance_agent.sync.publisher_metrics import publisher_state, show_publisher
from instance_agent.sync.score_updater import ScoreUpdater

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def describe_parts(
    database: Database,
    updater: ConfigurationUpdater,
    builder: StateBuilder,
    scores: ScoreUpdater,
    publisher: EventPublisher | None,
    classifier: ClassifierUpdater,
) -> dict[str, Any]:
    """Return the state of each part, for people: no names of models, hosts or keys."""
    state = builder.current
    configuration = state.catalog.configuration if state else None
    targets = [each for group in configuration.targets.values() for each in group] if configuration else []
    contact = updater.seconds_since_contact()
    return {
        "db": "down" if database.unavailable else "up",
        "configuration": {
            "version": updater.configuration.version,
            "current": updater.problem is None,
            "secondsSinceContact": None if contact is None else round(contact, 1),
        },
        "catalog": {
            "models": len(configuration.targets) if configuration else 0,
            "targets": len(targets),
            "usableTargets": sum(each.problem is None for each in targets),
            "current": builder.problem is None,
        },
        "scores": {"version": scores.learned.version},
        "classifier": {
            "version": classifier.classifier.version if classifier.classifier else None,
            "current": classifier.problem is None,
        },
        "events": None if publisher is None else publisher_state(publisher),
    }


def make_registry(
    database: Database,
    updater: ConfigurationUpdater,
    builder: StateBuilder,
    scores: ScoreUpdater,
    publisher: EventPublisher | None,
    planner: Planner,
    exchange: HealthExchange,
    spend: SpendExchange,
    classifier: ClassifierUpdater,
    parts: Callable[[], GatewayParts | None],
) -> "tuple[CollectorRegistry, GatewayMetrics]":
    """Return the metrics of a gateway, and those that its requests count.

    Args:
        parts: returns those of the application, once it serves.
    """
    from prometheus_client import CollectorRegistry

    from centralcloud.runtime.http.metrics import show_program

    registry = CollectorRegistry()
    requests = GatewayMetrics(registry)
    metrics = show_program(registry, "centralcloud_gateway", database)
    show_configuration(metrics, updater)
    show_classifier(metrics, classifier)
    metrics.gauge("catalog_invalid", "Whether the newest edit is not used", lambda: builder.problem is not None)
    metrics.gauge("applied_version", "Newest score version applied", lambda: scores.learned.version)
    if publisher is not None:
        show_publisher(metrics, publisher)

    def cache() -> ResponseCache | None:
        return each.cache if (each := parts()) is not None else None

    metrics.counter("cache_hits", "Answers from the cache", lambda: each.hits if (each := cache()) else 0)
    metrics.counter(
        "cache_misses",
        "Requests that the cache may answer, and did not",
        lambda: each.misses if (each := cache()) else 0,
    )
    metrics.gauge("cache_bytes", "Size of the cache of answers", lambda: each.size if (each := cache()) else 0)
    metrics.counter(
        "plan_sets_computed", "Probabilities computed while a request waited", lambda: planner.sets_computed
    )
    metrics.gauge("health_exchange_up", "Whether hints reach other gateways", lambda: exchange.up)
    metrics.counter("health_reports_sent", "Hints and results of checks sent", lambda: exchange.sent)
    metrics.gauge("spend_exchange_up", "Whether spend reaches the database", lambda: spend.up)
    metrics.counter("spend_exchanges", "Exchanges of spend with the database", lambda: spend.sent)
    SpendMetrics(registry, lambda: each.admission if (each := parts()) else None)
    TargetMetrics(
        registry,
        lambda: each.fleet_health if (each := parts()) else None,
        lambda: each.state if (each := parts()) else None,
        lambda: each.clock() if (each := parts()) else 0.0,
    )
    return registry, requests
