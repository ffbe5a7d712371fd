"""Make a registered model active or inactive."""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast, get_args

from centralcloud.administration.model_status import set_model_status
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration.model import ModelStatus
from centralcloud.dashboard.actions.action import Action, Done, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form, read_version
from centralcloud.dashboard.actions.reach import traffic_of_model
from centralcloud.dashboard.pages.addresses import action_url
from centralcloud.dashboard.web.page import PageError
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Operator

_STATUSES: Final[tuple[str, ...]] = get_args(ModelStatus)


class Registered(NamedTuple):
    """A registered model, and the version of the configuration. `status`: None: the model is not registered."""

    version: int
    status: str | None


_READ_STATUS = Query(__package__, "read_model_status", row=Registered)


class StatusAction(Action):
    """Set the status of a model."""

    name = "model-status"
    title = "Change the status"
    page = "/gateway"
    subject: Sequence[str] = ("model", "status")

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return the status as it stands."""
        model, status = _wanted(form)
        with scene.readers.transaction() as connection:  # operators may not read the configuration
            found = _READ_STATUS.one(connection, {"model": model})
        if found.status is None:
            raise PageError(404, "No such model", f"{model} is not registered.", command="instance-agent models list")
        gets = (
            "gateways choose it as before"
            if status == "active"
            else "no gateway sends it a request, even one that names it"
        )
        return Preview(
            question=f"Make {model} {status}?",
            now=(f"{model} is {found.status}, in version {found.version:,} of the configuration.",),
            then=(f"It is {status}, in version {found.version + 1:,}: {gets}.",),
            effects=("Every gateway applies the version within seconds.", traffic_of_model(scene.snapshot, model)),
            seen=str(found.version),
            obstacle=f"It is {status} already." if found.status == status else None,
            defaults={},
        )

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Set the status."""
        model, status = _wanted(form)
        version = set_model_status(
            scene.operators, model, cast("ModelStatus", status), operator, expected_version=read_version(seen)
        )
        other = next(each for each in _STATUSES if each != status)
        return Done(
            f"Made {model} {status}, in version {version:,} of the configuration.",
            f"Make it {other}",
            action_url(self.name, model=model, status=other),
        )

    def command(self, form: Form) -> str:
        """Return `centralcloud configuration set-status`."""
        arguments = form.get("model", ""), form.get("status", "")
        return command("configuration", "set-status", options=[why(form.get("reason", ""))], arguments=arguments)


def _wanted(form: Form) -> tuple[str, str]:
    model, status = form.get("model", ""), form.get("status", "")
    if not model or "\0" in model or status not in _STATUSES:
        raise PageError(
            404,
            "No such model",
            f"Found the model {quote(model)} and the status {quote(status)}, expected a registered model, and one of "
            f"{', '.join(_STATUSES)}.",
            command="instance-agent models list",
        )
    return model, status
