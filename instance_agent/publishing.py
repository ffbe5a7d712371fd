"""Report the decisions and outcomes of a router of your own: without a catalog, and without a program beside it.

    from instance_agent.publishing import publish_decision, publish_outcome

    decision_id = publish_decision("complex", model="large-1", provider="acme")
    ...  # call the model
    publish_outcome(decision_id, success=True, response_time_ms=840, output_tokens=310)

DATABASE_URL names the database and INSTANCE_ID the router (default: the host name), as for the instance agent. Both
functions only check their arguments and add the event to a queue in memory, so that they may be called from a coroutine. A
thread, started by the first call, loads the database driver and sends the events. It retries while the database is
unavailable, until the queue is full (INSTANCE_AGENT_PUBLISH_QUEUE_SIZE events); events that are lost then are logged.

Call `start()` when your program starts: it checks the settings. Call `close()` when it ends. At the exit of the interpreter,
also of a child of `multiprocessing` or Celery, events in memory are sent if the database accepts them within 2 seconds.
These begin when the thread has loaded the driver, for which the exit waits up to 10 seconds more.
A process that is terminated by a signal, or that calls `os._exit` itself, sends nothing more: call `close()` or `flush()`
before, or `flush_on_sigterm()` at the start. With INSTANCE_AGENT_SPOOL_DIR, events that were not sent stay there, also
when the process is killed, and the next start sends them.

A child of a fork starts with an empty queue, and with a thread and a connection of its own at its first event. The parent
sends the events that were in memory at the fork.

This module imports neither psycopg nor pydantic, structlog or aiohttp.
"""

import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import uuid_utils
from msgspec.structs import asdict, replace

from centralcloud.contracts import ContractError, RequestEvent, RoutingEvent
from centralcloud.contracts.errors import quote
from centralcloud.contracts.event_fields import check_value
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES, NEUTRAL_SCORE
from centralcloud.contracts.routing_event import message_too_large
from centralcloud.runtime.process.lifecycle import leave_behind, on_sigterm, watch_forks
from instance_agent.deferred_publisher import EXIT_SECONDS, DeferredPublisher

__all__ = ["Publisher", "close", "flush", "flush_on_sigterm", "publish_decision", "publish_outcome", "start"]

#: Decisions without an outcome that are remembered (about 500 bytes each), so that an outcome needs only its decision's id.
_REMEMBERED: Final = 50_000


class Publisher:
    """Publishes the decisions and outcomes of one router. Thread-safe; connects to nothing before the first event.

    The functions of this module are the methods of one that they share, which is enough for most programs. A child of a fork
    may use the same one: it knows the decisions that its parent made before.
    """

    def __init__(self, *, database_url: str | None = None, instance_id: str | None = None) -> None:
        """Create a publisher; the environment is read when it is first used.

        Args:
            database_url: the database, as DATABASE_URL; None: from the environment.
            instance_id: name of the router in the events, 1 to 200 characters; None: INSTANCE_ID, or the host name.
        """
        self._database_url = database_url
        self._instance_id = instance_id
        self._decisions: OrderedDict[str, RoutingEvent] = OrderedDict()
        self._lock = threading.Lock()
        self._deferred: DeferredPublisher | None = None
        watch_forks(self, before=Publisher._before_fork, in_child=Publisher._after_fork_in_child)

    def publish_decision(
        self,
        complexity: str,
        model: str,
        provider: str,
        *,
        complexity_score: float = NEUTRAL_SCORE,
        capabilities_required: Iterable[str] = (),
        prefer: str | None = None,
        user_model_request: str | None = None,
        task_type: str | None = None,
        propensity: float | None = None,
        score_version: int | None = None,
        decision_id: str | None = None,
    ) -> str:
        """Publish a decision of the router. Returns at once; the event is sent in the background.

        Args:
            complexity: ``simple``, ``medium`` or ``complex``, or one of the words of docs/reference/messages.md.
            model: the chosen model, at most 512 characters.
            provider: the provider that is called for it, at most 512 characters.
            complexity_score: the score that the router used, 0.0 to 5.0; neutral for a router without scores.
            capabilities_required: of the model, e.g. ``["vision"]``.
            prefer: ``speed``, ``cost`` or another preference of the request.
            user_model_request: the model that the user asked for.
            task_type: kind of task, as the router names it.
            propensity: probability with which the router chose this model, 0 to 1. It makes rules comparable later.
            score_version: version of the learned score that was used.
            decision_id: an id of your own, at most 200 characters, unique for each decision; None: a new UUIDv7.

        Returns:
            The decision's id, for `publish_outcome`.

        Raises:
            ContractError: an argument is invalid; one line that names it.
            SettingsError: no database is set, or another setting was found to be wrong.
            CentralCloudError: the thread that sends has failed; it was logged, with the number of events lost.
        """
        capabilities = [capabilities_required] if isinstance(capabilities_required, str) else [*capabilities_required]
        event = RoutingEvent(
            timestamp=datetime.now(UTC),
            instance_id=self._identity(),
            **_checked(
                complexity=complexity,
                model=model,
                provider=provider,
                complexity_score=complexity_score,
                capabilities_required=capabilities,
                prefer=prefer,
                user_model_request=user_model_request,
                task_type=task_type,
                propensity=propensity,
                score_version=score_version,
                decision_id=str(uuid_utils.uuid7()) if decision_id is None else decision_id,
            ),
        )
        self._publish(event)
        self._remember(event)
        return event.decision_id  # type: ignore[return-value]

    def publish_outcome(
        self,
        decision_id: str,
        success: bool,
        response_time_ms: float | None = None,
        *,
        error_kind: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost_usd: float | None = None,
        model_version: str | None = None,
        complexity: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        complexity_score: float = NEUTRAL_SCORE,
    ) -> None:
        """Publish the outcome of a decision, once. Returns at once; the event is sent in the background.

        Args:
            decision_id: the id that `publish_decision` returned.
            success: whether the answer was good, by your own judgement.
            response_time_ms: until the answer was complete, 0 to 2147483647.
            error_kind: of a failure: ``caller`` or ``policy`` (they say nothing about the model), ``provider``, ``timeout``.
            input_tokens: tokens of the request, 0 to 2147483647.
            output_tokens: tokens of the answer, 0 to 2147483647.
            cost_usd: cost of the request in US dollars, 0 to 1e9.
            model_version: the id of the model that the provider's answer names, at most 200 characters. If it changes, the
                model is learned anew.
            complexity: of the decision. Required, as `model` and `provider`, when another process published the decision, or
                when 50,000 decisions without an outcome followed it; otherwise not used.
            model: of the decision, as `complexity`.
            provider: of the decision, as `complexity`.
            complexity_score: of the decision, used when `complexity` is.

        Raises:
            ContractError: an argument is invalid, or the decision is not known; one line that names the argument.
            SettingsError: no database is set, or another setting was found to be wrong.
            CentralCloudError: the thread that sends has failed; it was logged, with the number of events lost.
        """
        if not isinstance(success, bool):
            raise ContractError("success", quote(success), "true or false")
        reported = _checked(
            response_time_ms=response_time_ms,
            error_kind=error_kind,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost_usd=cost_usd,
        )
        version = check_value("model_version", model_version)
        reported |= {"timestamp": datetime.now(UTC), "outcome": "success" if success else "failure"}
        decision_id = check_value("decision_id", decision_id)  # as `publish_decision` returned it
        decision = self._decisions.get(decision_id)
        if decision is not None:
            event = replace(decision, **reported)
        elif complexity is None or model is None or provider is None:
            raise ContractError(
                "decision_id",
                quote(decision_id),
                "a decision of this process without an outcome, or complexity, model and provider of the decision",
            )
        else:
            decided = _checked(
                decision_id=decision_id,
                complexity=complexity,
                model=model,
                provider=provider,
                complexity_score=complexity_score,
            )
            event = RoutingEvent(instance_id=self._identity(), **decided, **reported)
        self._publish(event if version is None else RequestEvent(**asdict(event), model_version=version))
        with self._lock:
            self._decisions.pop(decision_id, None)

    def start(self) -> None:
        """Load what sending needs, and check the settings. Takes half a second; connects to nothing yet.

        Raises:
            SettingsError: a setting is wrong, or no database is set.
            CentralCloudError: the publisher cannot run for another reason.
        """
        self._open().wait_until_ready()

    def flush(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Wait until every event was sent. From a coroutine: ``await asyncio.to_thread(flush)``.

        Args:
            timeout_seconds: longest wait; the events that still wait then are sent later.

        Returns:
            False when events still wait after `timeout_seconds`.

        Raises:
            SettingsError: a setting is wrong.
            CentralCloudError: the thread that sends has failed.
        """
        return self._deferred is None or self._deferred.flush(timeout_seconds)

    def flush_on_sigterm(self) -> None:
        """On SIGTERM send the events in memory within 2 seconds, then do what the process did on SIGTERM before.

        Call it once, in the main thread, after your program has set its own handler of SIGTERM, which is called afterwards;
        without one the process ends by the signal. Nothing else in this package handles a signal.

        Raises:
            ValueError: this is not the main thread.
        """
        on_sigterm(self._before_end)

    def _before_end(self, ends: bool) -> None:
        if (deferred := self._deferred) is not None:
            deferred.before_end(ends)

    def close(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Send the events in memory, and stop the threads; the next event would start others.

        Args:
            timeout_seconds: longest wait for the database, about; closing a connection may take a second more, and loading
                the driver, in a process that has just begun to publish, up to 10. The events that were not accepted then are
                dropped, and the threads end by themselves.

        Returns:
            False when events were not sent: the database did not accept them in `timeout_seconds`. Those in the spool are
            sent by the next start, the others are lost. They are logged.
        """
        with self._lock:
            deferred, self._deferred = self._deferred, None
        return deferred is None or deferred.close(timeout_seconds)

    def _before_fork(self) -> None:
        """Wait until the thread has imported what it needs: a child could not finish these imports."""
        if (deferred := self._deferred) is not None:
            deferred.wait_until_it_may_fork()

    def _after_fork_in_child(self) -> None:
        """Leave the queue, the threads and the connections to the parent."""
        self._lock = threading.Lock()
        if self._deferred is not None:
            leave_behind(self._deferred)
            self._deferred.abandon()
            self._deferred = None

    def _identity(self) -> str:
        identity = self._instance_id or os.environ.get("INSTANCE_ID") or socket.gethostname()
        return check_value("instance_id", identity)  # type: ignore[no-any-return]

    def _open(self) -> DeferredPublisher:
        with self._lock:
            if self._deferred is None:
                self._deferred = DeferredPublisher(database_url=self._database_url, instance_id=self._identity())
            return self._deferred

    def _publish(self, event: RoutingEvent) -> None:
        text = _encode(event)
        self._open().publish_text(text)

    def _remember(self, event: RoutingEvent) -> None:
        with self._lock:
            self._decisions[event.decision_id or ""] = event
            if len(self._decisions) > _REMEMBERED:
                self._decisions.popitem(last=False)


def _checked(**values: Any) -> dict[str, Any]:
    return {name: check_value(name, value) for name, value in values.items()}


def _encode(event: RoutingEvent) -> str:
    """Return the message; one that PostgreSQL would reject is an error now, where the caller can see it."""
    try:
        text = event.to_json()
    except UnicodeEncodeError:
        raise ContractError("message", "a lone surrogate in a string", "Unicode text") from None
    if "\\u0000" in text:
        for name, value in asdict(event).items():
            texts = value if isinstance(value, tuple) else (value,)
            if any(isinstance(each, str) and "\0" in each for each in texts):
                raise ContractError(name, quote(value), "text without a zero byte")
    if len(text) * 4 > MAX_MESSAGE_BYTES and (size := len(text.encode())) > MAX_MESSAGE_BYTES:
        raise message_too_large(size)
    return text


_shared: Final = Publisher()
publish_decision = _shared.publish_decision
publish_outcome = _shared.publish_outcome
start = _shared.start
flush = _shared.flush
flush_on_sigterm = _shared.flush_on_sigterm
close = _shared.close
