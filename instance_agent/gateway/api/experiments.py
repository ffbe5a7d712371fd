"""Experiments: /api/experiments, their stages, and what is known about their treatments.

The experiments are those that this replica uses; the results are read from the database by a function, as a gateway reads
no table. They concern the whole fleet: a key of a workspace may not.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote as percent_encoded

from aiohttp import web

from centralcloud.contracts import ContractError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.experiment_changes import (
    ExperimentStateError,
    check_removable,
    paused,
    promoted,
    resumed,
    stopped,
)
from centralcloud.contracts.experiment_conditions import conditions_of, waiting_in_json
from centralcloud.contracts.experiment_overlaps import overlap_notes
from centralcloud.contracts.fleet_configuration import (
    Change,
    Experiment,
    ExperimentScope,
    FleetConfiguration,
    Role,
    put,
    remove,
    to_body,
)
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.contracts.new_experiment import Begun, Traffic, begin, scope_of, with_rule
from centralcloud.contracts.text import read_name
from centralcloud.contracts.treatment_models import check_treatment_models
from centralcloud.runtime.configuration.experiments import read_experiments_ever, read_report, read_traffic
from centralcloud.runtime.configuration.writing import Current, rights
from centralcloud.runtime.postgres.database import Database
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.gateway.api.configuration.entry_changes import not_found
from instance_agent.gateway.api.configuration_writer import (
    ConfigurationWriter,
    fleet_admin,
    parts_of,
    versioned,
    without_prefix,
)
from instance_agent.gateway.api.database_work import LIMIT_SECONDS, DatabaseWork
from instance_agent.gateway.api.requests import (
    BODY,
    api_handler,
    invalid_field,
    json_object,
    only_fields,
    text_field,
)
from instance_agent.gateway.errors import GatewayError

_KIND: Final = "experiment"
_BYTES_OF_TOKEN: Final = 8
_LONGEST_REASON: Final = 1000
_ASKED: Final = ("name", "kind", "scope", "treatments", "plan", "rule", "reason")

_To = Callable[[Experiment, datetime, Mapping[str, Any]], Experiment]


class ExperimentsApi:
    """The handlers of experiments."""

    def __init__(self, work: DatabaseWork) -> None:
        self._work = work
        self._writer = ConfigurationWriter(work)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        experiment = "/api/experiments/{id}"
        return [
            web.get("/api/experiments", api_handler(self._list)),
            web.post("/api/experiments", api_handler(self._start)),
            web.get(experiment, api_handler(self._get)),
            web.delete(experiment, api_handler(self._remove)),
            web.post(f"{experiment}/pause", api_handler(self._pause)),
            web.post(f"{experiment}/resume", api_handler(self._resume)),
            web.post(f"{experiment}/stop", api_handler(self._stop)),
            web.post(f"{experiment}/promote", api_handler(self._promote)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        fleet = _fleet(request, "viewer")
        found = [to_body(each) for each in fleet.experiments]
        return versioned(fleet.version, {"experiments": found, "count": len(found)})

    async def _get(self, request: web.Request) -> web.Response:
        fleet = _fleet(request, "viewer")
        experiment = _find(fleet, _id_of(request))
        report = await self._work.run(lambda database: _read_report(database, experiment.id))
        return versioned(fleet.version, {"experiment": to_body(experiment), **_waiting(experiment, report), **report})

    async def _start(self, request: web.Request) -> web.Response:
        fleet = _fleet(request, "admin")
        value = await json_object(request)
        only_fields(value, _ASKED)
        reason, rule = text_field(value, "reason", longest=_LONGEST_REASON), text_field(value, "rule")
        asked = {name: each for name, each in value.items() if name not in ("reason", "rule")}
        scope = scope_of(with_rule(fleet.rules, rule, asked)[0], BODY)
        token = secrets.token_hex(_BYTES_OF_TOKEN)
        earlier, traffic = await self._work.run(lambda database: _read_known(database, scope))
        found: list[Begun] = []
        catalog = parts_of(request).state.catalog.configuration

        def decide(current: Current) -> Sequence[Change]:
            whole, changed = with_rule(current.configuration.rules, rule, asked)
            found[:] = [begin(whole, BODY, now=datetime.now(UTC), token=token, earlier=earlier, traffic=traffic)]
            if catalog is not None:
                _check_models(found[0].experiment, current.configuration, catalog)
            return [put(found[0].experiment), *([] if changed is None else [put(changed)])]

        try:
            fleet = await self._writer.write(request, decide, reason=reason)
        except ContractError as error:
            raise without_prefix(error, entry_path(_KIND, found[0].experiment.id), BODY) if found else error from None
        experiment = found[0].experiment
        location = f"/api/experiments/{percent_encoded(experiment.id, safe='')}"
        notes = [*found[0].notes, *overlap_notes(experiment, fleet.experiments)]
        body = {"experiment": to_body(experiment), "notes": notes}
        return versioned(fleet.version, body, 201, location=location)

    async def _remove(self, request: web.Request) -> web.Response:
        _fleet(request, "admin")
        experiment_id = _id_of(request)
        report = await self._work.run(lambda database: _read_report(database, experiment_id))
        verdicts = {each["verdict"] for each in report["verdicts"]}

        def decide(current: Current) -> Sequence[Change]:
            experiment = _find(current.configuration, experiment_id)
            try:
                check_removable(experiment, is_published="published" in verdicts)
            except ExperimentStateError as error:
                raise GatewayError(str(error), status=409, code="experiment_state") from None
            return [remove(_KIND, experiment_id)]

        fleet = await self._writer.write(request, decide)
        return versioned(fleet.version, {"id": experiment_id, "deleted": True})

    async def _pause(self, request: web.Request) -> web.Response:
        return await self._change(request, lambda each, now, asked: paused(each, now, asked.get("reason")))

    async def _resume(self, request: web.Request) -> web.Response:
        return await self._change(request, lambda each, now, asked: resumed(each, now, asked.get("reason")))

    async def _stop(self, request: web.Request) -> web.Response:
        return await self._change(request, lambda each, now, asked: stopped(each, now, asked.get("reason")))

    async def _promote(self, request: web.Request) -> web.Response:
        return await self._change(
            request,
            lambda each, now, asked: promoted(
                each, now, asked.get("treatment"), asked.get("reason"), hold=asked.get("hold", False)
            ),
            "treatment",
            flags=("hold",),
        )

    async def _change(self, request: web.Request, to: _To, *more: str, flags: Sequence[str] = ()) -> web.Response:
        _fleet(request, "operator")
        experiment_id = _id_of(request)
        asked = await json_object(request) if await request.read() else {}
        only_fields(asked, ("reason", *more, *flags))
        reason = text_field(asked, "reason", longest=_LONGEST_REASON)
        for name in more:
            text_field(asked, name)
        for name in flags:
            if not isinstance(asked.get(name, False), bool):
                raise invalid_field(ContractError(name, quote(asked[name]), "true or false"))

        def decide(current: Current) -> Sequence[Change]:
            experiment = _find(current.configuration, experiment_id)
            try:
                return [put(to(experiment, datetime.now(UTC), asked))]
            except ExperimentStateError as error:
                raise GatewayError(str(error), status=409, code="experiment_state") from None

        fleet = await self._writer.write(request, decide, reason=reason)
        return versioned(fleet.version, {"experiment": to_body(_find(fleet, experiment_id))})


def _fleet(request: web.Request, role: Role) -> FleetConfiguration:
    """Return the configuration that this replica uses, to a key of the fleet with the role."""
    fleet_admin(request, role)
    return parts_of(request).state.fleet


def _id_of(request: web.Request) -> str:
    found = str(request.match_info["id"])
    if read_name(found, MAX_NAME_LENGTH) != found:
        raise not_found(_KIND, found)
    return found


def _find(fleet: FleetConfiguration, experiment_id: str) -> Experiment:
    for each in fleet.experiments:
        if each.id == experiment_id:
            return each
    raise not_found(_KIND, experiment_id)


def _read_report(database: Database, experiment_id: str) -> dict[str, Any]:
    with database.transaction(limit_seconds=LIMIT_SECONDS) as connection:
        return read_report(connection, experiment_id)


def _check_models(experiment: Experiment, fleet: FleetConfiguration, catalog: CatalogConfiguration) -> None:
    """Check that the models of an experiment are those of this gateway's catalog, or registered."""
    named = {each.model for each in experiment.treatments if each.model is not None and catalog.knows(each.model)}
    inactive = {each.id for each in fleet.models.values() if each.status != "active"} - named
    known = {*catalog.targets, *catalog.aliases.plain(), *fleet.models, *named}
    check_treatment_models(experiment, known, BODY, inactive=inactive)


def _waiting(experiment: Experiment, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an experiment waits for: the conditions by which the daemon decides."""
    results = report["results"]
    evidence = {each["treatment"]: each["facts"]["evidence"] for each in results if "evidence" in each["facts"]}
    return waiting_in_json(conditions_of(experiment, evidence, datetime.now(UTC)), experiment.treatments)


def _read_known(database: Database, scope: ExperimentScope) -> tuple[Sequence[Experiment], Traffic | None]:
    """Read what a new experiment follows from: every one that there was, and the traffic of its scope."""
    with (
        rights("start an experiment", "centralcloud_configurator"),
        database.transaction(limit_seconds=LIMIT_SECONDS) as connection,
    ):
        return read_experiments_ever(connection), read_traffic(connection, scope)
