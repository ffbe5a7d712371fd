"""The status of a registered model, for operators who may not change the rest of the configuration."""

import psycopg

from centralcloud.contracts.fleet_configuration.model import ModelStatus
from centralcloud.runtime.configuration.writing import ConfigurationConflictError, UnknownModelError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Operator

_READ_CONFIGURATION_VERSION = Query(__package__, "read_configuration_version", row=int)
_SET_MODEL_STATUS = Query(__package__, "set_model_status", row=int)
#: SQLSTATE of the function for a model that is not registered, and for another version than the expected one.
_UNKNOWN_MODEL = "CC404"
_CONFLICT = "CC409"


def set_model_status(
    database: Database, model: str, status: ModelStatus, operator: Operator, *, expected_version: int | None = None
) -> int:
    """Make a registered model active or inactive: an inactive one gets no request. The database writes the log.

    Args:
        expected_version: the version of the configuration that the operator has seen; None: any.

    Returns:
        The version of the configuration with this status; without a difference no new one.

    Raises:
        UnknownModelError: the model is not registered.
        ConfigurationConflictError: the configuration is at another version than the expected one.
    """
    try:
        with database.transaction() as connection:
            version = _READ_CONFIGURATION_VERSION.one(connection) if expected_version is None else expected_version
            parameters = {
                "expected_version": version,
                "model": model,
                "status": status,
                "who": operator.who,
                "via": operator.via,
                "source": operator.source,
                "reason": operator.reason,
            }
            return _SET_MODEL_STATUS.one(connection, parameters)
    except psycopg.Error as error:
        if error.sqlstate == _UNKNOWN_MODEL:
            raise UnknownModelError(f"found no registered model {model!r}, expected the id of one") from None
        if error.sqlstate == _CONFLICT:
            raise ConfigurationConflictError(
                "the configuration has changed since it was read: read it again, and repeat the change"
            ) from None
        raise
